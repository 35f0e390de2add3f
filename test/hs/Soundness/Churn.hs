{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE RankNTypes #-}
-- The soundness test itself, built with the flag checking: Haskell threads, bound and not, do everything at
-- once for some seconds, are struck by exceptions, killed and replaced, while the number of capabilities
-- changes. Every block has a pattern that is looked at before it is freed. In the end no owner-only path was
-- entered twice at once, every block kept its pattern, no block is left and the walker agrees.
--
-- soundness SECONDS [OPTION...]
--   --broken the blocks come from a ring that reads the capability's number in one call and uses it in the
--                      next: the test must fail
--   --pressure every foreign pointer asks for collections. And no thread is struck: with so many collections
--                      GHC crashes by itself where threads throw at each other (ThrowTo.hs)
--   --steady the number of capabilities stays: GHC loses threads where it changes under the non-moving
--                      collector, and ends or hangs (Migrate.hs)
--   --finalizers-late some finalizers run at exit only, so what has to be empty is looked at only there
--   (process.c)
--
-- No thread waits for a timer here (some versions of the runtime system hang when it does while the number of
-- capabilities changes), but in safe calls of usleep.
module Soundness.Churn (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.Array (Array, bounds, listArray, (!))
import Data.Bits (shiftR, unsafeShiftL, xor)
import qualified Data.ByteString.Internal as Internal
import Data.IORef
import Data.Word (Word64, Word8)
import Foreign.C.Types (CInt (..), CSize (..), CUInt (..))
import Foreign.ForeignPtr (ForeignPtr, finalizeForeignPtr, plusForeignPtr, withForeignPtr)
import Foreign.Ptr (Ptr, castPtr, nullPtr, ptrToWordPtr)
import Foreign.Storable (peekElemOff, pokeElemOff)
import GHC.Clock (getMonotonicTime)
import System.Environment (getArgs)
import System.Exit (exitFailure)
import System.Mem (performMajorGC, performMinorGC)

import Mimalloc (mallocForeignPtrBytes, withMallocAlignedBytes, withMallocBytes, withZallocBytes)
import qualified Mimalloc.ByteString as M
import Mimalloc.Capability (drainAll, reinitializeCapabilities, runOnCapability)
import qualified Mimalloc.Heap as H
import Mimalloc.Internal.Checking
import Mimalloc.Internal.FFI (mi_cap_drain, mi_cap_number)
import Mimalloc.Pressure (Pressure (..), PressureStats (..), pressureStats, setPressure)
import Mimalloc.Primitive (mi_collect, mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_zalloc)
import Mimalloc.Stats

foreign import ccall safe "usleep" c_usleep :: CUInt -> IO CInt
foreign import ccall unsafe "_exit" c_exit :: CInt -> IO ()

-- process.c
foreign import ccall unsafe change_begins :: IO ()
foreign import ccall unsafe change_ends :: IO ()

-- The any-thread family from safe calls, where no capability is held.
foreign import ccall safe "mi_malloc" any_malloc :: CSize -> IO (Ptr a)
foreign import ccall safe "mi_realloc" any_realloc :: Ptr a -> CSize -> IO (Ptr a)
foreign import ccall safe "mi_free" any_free :: Ptr a -> IO ()

-- A heap of the user's, used from every capability and thread.
data Heap
foreign import ccall unsafe "mi_heap_new" heap_new :: IO (Ptr Heap)
foreign import ccall unsafe "mi_cap_heap_malloc" cap_heap_malloc :: Ptr Heap -> CSize -> IO (Ptr a)
foreign import ccall safe "mi_heap_malloc" any_heap_malloc :: Ptr Heap -> CSize -> IO (Ptr a)

-- ---- what is tested ----

-- | How a block of the capability's is taken and freed.
data Ring = Ring (Int -> IO (Ptr Word8)) (Ptr Word8 -> IO ())

sound, broken :: Ring
sound = Ring (mi_malloc . fromIntegral) mi_free
-- The thread may be on another capability when the number is used. The first overlap ends the process: later
-- it may crash.
broken = Ring (\n -> elsewhere $ \c -> mi_test_cap_malloc_on c (fromIntegral n))
  (\p -> elsewhere (`mi_test_cap_free_on` p))
  where
    elsewhere :: (CInt -> IO a) -> IO a
    elsewhere use = do
      c <- mi_cap_number
      yield
      a <- use c
      n <- mi_check_overlaps
      when (n > 0) $ c_exit 3
      pure a

-- ---- blocks and their patterns ----

data Block
  = Raw !(Ptr Word8) !Int !Word64            -- whoever has it frees it
  | Managed !(ForeignPtr Word8) !Int !Word64 -- a finalizer does

-- Every byte is written: words that depend on the seed and on their place, then the seed's last byte.
fill :: Ptr Word8 -> Int -> Word64 -> IO ()
fill p n seed = words' 0
  where
    !nwords = n `shiftR` 3
    words' i | i < nwords = pokeElemOff (castPtr p) i (pattern' seed i) >> words' (i + 1)
             | otherwise = rest (8 * nwords)
    rest i = when (i < n) $ pokeElemOff p i (fromIntegral seed) >> rest (i + 1)

-- | Whether the first m of a block's n bytes are as they were filled.
kept :: Ptr Word8 -> Int -> Int -> Word64 -> IO Bool
kept p n m seed = words' 0
  where
    !nwords = n `shiftR` 3
    words' i | i < nwords && 8 * i + 8 <= m = peekElemOff (castPtr p) i >>= \w ->
      if w == pattern' seed i then words' (i + 1) else pure False
             | otherwise = rest (8 * nwords)
    rest i | i < m = peekElemOff p i >>= \b -> if b == fromIntegral seed then rest (i + 1) else pure False
           | otherwise = pure True

pattern' :: Word64 -> Int -> Word64
pattern' seed i = seed `xor` (fromIntegral i * 0x9E3779B97F4A7C15)
{-# INLINE pattern' #-}

zeros :: Ptr Word8 -> Int -> IO Bool
zeros p n = go 0
  where go i | i < n = peekElemOff p i >>= \b -> if b == 0 then go (i + 1) else pure False
             | otherwise = pure True

-- ---- everything the threads share ----

data Shared = Shared
  { ring      :: !Ring
  , heap      :: !(Ptr Heap)
  , region    :: !(IORef H.GCHeap)
  , strikes   :: !Bool                                -- whether threads are struck
  , steady    :: !Bool                                -- whether the number of capabilities stays
  , deadline  :: !Double
  , exchange  :: !(Array Int (MVar Block))            -- blocks on their way from one thread to another
  , threads   :: !(Array Int (IORef (Maybe ThreadId)))
  , finished  :: !(Array Int (MVar ()))
  , problems  :: !(IORef [String])
  , nsteps, nstruck, nkilled, nchanges :: !(IORef Int)
  }

count :: IORef Int -> Int -> IO ()
count r n = atomicModifyIORef' r (\k -> (k + n, ()))

problem :: Shared -> String -> IO ()
problem s what = atomicModifyIORef' (problems s) (\ps -> (take 10 (what : ps), ()))

unless' :: Shared -> String -> IO Bool -> IO ()
unless' s what test = test >>= \good -> unless good (problem s what)

-- A thread's random numbers (xorshift) and the blocks it keeps for a while.
data Own = Own !(IORef Word64) !(Array Int (IORef (Maybe Block)))

random :: Own -> IO Word64
random (Own r _) = do
  x0 <- readIORef r
  let x1 = x0 `xor` (x0 `unsafeShiftL` 13)
      x2 = x1 `xor` (x1 `shiftR` 7)
      !x3 = x2 `xor` (x2 `unsafeShiftL` 17)
  writeIORef r x3
  pure (x3 * 0x2545F4914F6CDD1D)

below :: Own -> Int -> IO Int
below own n = (\x -> fromIntegral (x `shiftR` 11) `mod` n) <$> random own

chance :: Own -> Int -> IO () -> IO ()
chance own n act = below own n >>= \k -> when (k == 0) act

-- | From 1 byte to 200 KiB, small ones more often.
size :: Own -> IO Int
size own = do
  top <- below own 18
  n <- below own (2 ^ (top + 1))
  pure (1 + min 204799 n)

-- ---- what a thread does ----

data Struck = Struck deriving Show
instance Exception Struck

step :: Shared -> Own -> Int -> IO ()
step s own self = below own 100 >>= act
  where
    act :: Int -> IO ()
    act k
      | k < 14 = bracketed
      | k < 30 = mask_ (newRaw s own >>= keep s own)
      | k < 46 = mask_ (newManaged s own >>= keep s own)
      | k < 60 = mask_ (newRaw s own >>= pass)
      | k < 72 = mask_ (newManaged s own >>= pass)
      | k < 84 = mask_ (place >>= tryTakeMVar >>= mapM_ (release s own))
      | k < 92 = resize
      | k < 94 = void (below own 200 >>= c_usleep . fromIntegral)
      | k < 96 = yield
      | k == 96 = chance own 4 (strike Struck)
      | k == 97 = chance own 40 (strike ThreadKilled)
      | k == 98 = chance own 20 performMinorGC >> mi_collect 0
      | otherwise = chance own 40 performMajorGC >> chance own 4 (mi_collect 1) >> chance own 4 mi_cap_drain

    place = (exchange s !) <$> below own (1 + snd (bounds (exchange s)))
    pass b = place >>= \m -> tryPutMVar m b >>= \went -> unless went (release s own b)

    bracketed = do
      n <- size own
      seed <- random own
      kind <- below own 4
      let use p = do
            fill p n seed
            chance own 3 bracketed
            chance own 10 yield
            chance own 20 (void (c_usleep 50))
            unless' s "a bracket's block lost its pattern" (kept p n n seed)
      case kind of
        0 -> withZallocBytes n $ \p -> unless' s "a zeroed block is not zero" (zeros p n) >> use p
        1 -> do
          align <- (2 ^) <$> below own 14
          withMallocAlignedBytes n align $ \p -> do
            unless' s "a block is not aligned"
              (pure (fromIntegral (ptrToWordPtr p) `mod` align == (0 :: Int)))
            use p
        _ -> withMallocBytes n use

    resize = mask_ $ do
      b <- swap own Nothing
      case b of
        Just (Raw p n seed) -> do
          m <- size own
          safely <- below own 4
          q <- if safely == 0 then any_realloc p (fromIntegral m) else mi_realloc p (fromIntegral m)
          got s q
          unless' s "a block lost its pattern in realloc" (kept q n (min n m) seed)
          fill q m seed
          keep s own (Raw q m seed)
        _ -> mapM_ (release s own) b

    strike :: Exception e => e -> IO ()
    strike e = when (strikes s) $ do
      k <- below own (1 + snd (bounds (threads s)))
      when (k /= self) $ readIORef (threads s ! k) >>= mapM_ (`throwTo` e)

got :: Shared -> Ptr a -> IO ()
got s p = when (p == nullPtr) $ problem s "no memory" >> throwIO Struck

-- | From the capability, from a heap of the user's, from the OS thread.
newRaw :: Shared -> Own -> IO Block
newRaw s own = do
  n <- size own
  seed <- random own
  kind <- below own 16
  let Ring malloc _ = ring s
      bytes = fromIntegral n
  p <- case kind of
    0 -> any_malloc bytes
    1 -> any_heap_malloc (heap s) bytes
    2 -> cap_heap_malloc (heap s) bytes
    3 -> mi_malloc_aligned bytes 256
    4 -> mi_zalloc bytes
    _ -> malloc n
  got s p
  when (kind == 4) $ unless' s "a zeroed block is not zero" (zeros p n)
  fill p n seed
  pure (Raw p n seed)

newManaged :: Shared -> Own -> IO Block
newManaged s own = do
  n <- size own
  seed <- random own
  kind <- below own 8
  if kind == 0 then newPacked s own (1 + n `mod` 1500) seed else do
    fp <- mallocForeignPtrBytes n
    withForeignPtr fp $ \p -> fill p n seed
    pure (Managed fp n seed)

-- | In a region that all share, until there is another; it ends with the last one.
newPacked :: Shared -> Own -> Int -> Word64 -> IO Block
newPacked s own n seed = do
  heap' <- readIORef (region s)
  chance own 50 (H.newHeap >>= writeIORef (region s))
  copy <- M.create n (\p -> fill p n seed) >>= M.heapCopy heap'
  let (fp, at, _) = Internal.toForeignPtr copy
  pure (Managed (fp `plusForeignPtr` at) n seed)

-- | Into a random place of the thread's own; what was there goes.
keep :: Shared -> Own -> Block -> IO ()
keep s own b = swap own (Just b) >>= mapM_ (release s own)

swap :: Own -> Maybe Block -> IO (Maybe Block)
swap own@(Own _ bag) new = do
  r <- (bag !) <$> below own (1 + snd (bounds bag))
  old <- readIORef r
  writeIORef r new
  pure old

release :: Shared -> Own -> Block -> IO ()
release s own (Raw p n seed) = do
  unless' s ("a block of " ++ show n ++ " bytes lost its pattern") (kept p n n seed)
  kind <- below own 8
  let Ring _ free = ring s
  if kind == 0 then any_free p else free p
release s own (Managed fp n seed) = do
  unless' s ("a foreign pointer's block of " ++ show n ++ " bytes lost its pattern")
    (withForeignPtr fp (\p -> kept p n n seed))
  now <- below own 3
  when (now == 0) $ finalizeForeignPtr fp

releaseAll :: Shared -> Own -> IO ()
releaseAll s own@(Own _ bag) =
  forM_ [0 .. snd (bounds bag)] $ \i -> readIORef (bag ! i)
    >>= mapM_ (release s own) >> writeIORef (bag ! i) Nothing

-- | Starts the thread that has this number, masked but for its steps.
start :: Shared -> Int -> Word64 -> IO ()
start s k seed = do
  own <- Own <$> newIORef seed <*> array 16 (newIORef Nothing)
  t <- uninterruptibleMask_ $ fork (worker s k own)
  writeIORef (threads s ! k) (Just t)
  where
    fork :: ((forall a. IO a -> IO a) -> IO ()) -> IO ThreadId
    fork io = if k `mod` 3 == 2 then forkOSWithUnmask io else forkIOWithUnmask io

worker :: Shared -> Int -> Own -> (forall a. IO a -> IO a) -> IO ()
worker s k own unmask = go
  where
    go = do
      r <- try (unmask loop)
      case r of
        Right () -> end
        Left e | Just Struck <- fromException e -> count (nstruck s) 1 >> go
               | Just ThreadKilled <- fromException e -> do
                   count (nkilled s) 1
                   releaseAll s own
                   random own >>= start s k
               | otherwise -> problem s ("a thread ended: " ++ displayException e) >> end
    end = releaseAll s own >> putMVar (finished s ! k) ()
    loop = do
      replicateM_ 50 (step s own k)
      count (nsteps s) 50
      goesOn s >>= \more -> when more loop

-- | Until it is time; and on a busy machine until everything has happened.
goesOn :: Shared -> IO Bool
goesOn s = do
  now <- getMonotonicTime
  if now < deadline s then pure True else (now < deadline s + patience &&) . elem 0 <$> happened s

-- | Seconds: a guard against what never happens.
patience :: Double
patience = 400

-- | If one of these is 0 nothing was shown.
happened :: Shared -> IO [Int]
happened s = do
  heaps <- capabilityStats
  counts <- mapM readIORef ([nsteps s, nchanges s] ++ (if strikes s then [nstruck s, nkilled s] else []))
  asked <- pressureMajorCollections <$> pressureStats
  pure (sum (map capabilityRemoteFreed heaps) : counts
    ++ [ length heaps - 1 | not (steady s) ] ++ [ asked | not (strikes s) ])

-- | Changes the number of capabilities all the while, unless it is to stay, and drains.
change :: Shared -> [Int] -> IO ()
change s numbers = go (zip (cycle [1 .. 8 :: Int]) (cycle numbers))
  where
    go ((k, n) : more) = do
      capabilities s n
      _ <- c_usleep 3000
      when (k == 8) $ watched reinitializeCapabilities
      count (nchanges s) 1
      goesOn s >>= \on -> when on (go more)
    go [] = pure ()

capabilities :: Shared -> Int -> IO ()
capabilities s n = unless (steady s) $ watched (setNumCapabilities n)

-- process.c sees if it never ends.
watched :: IO () -> IO ()
watched io = change_begins >> io >> change_ends

array :: Int -> IO a -> IO (Array Int a)
array n new = listArray (0, n - 1) <$> replicateM n new

-- ---- from start to end ----

main :: IO ()
main = do
  args <- getArgs
  n <- getNumCapabilities
  now <- getMonotonicTime
  let pressed = "--pressure" `elem` args
      stays = "--steady" `elem` args
  when pressed $ setPressure (PressureBytes 1)
  let seconds = case filter ((/= "--") . take 2) args of { [x] -> read x; _ -> 5 } :: Double
      nthreads = max 6 (3 * n)
  h <- heap_new
  r <- H.newHeap >>= newIORef
  s <- Shared (if "--broken" `elem` args then broken else sound) h r (not pressed) stays (now + seconds)
    <$> array 64 newEmptyMVar <*> array nthreads (newIORef Nothing) <*> array nthreads newEmptyMVar
    <*> newIORef [] <*> newIORef 0 <*> newIORef 0 <*> newIORef 0 <*> newIORef 0
  forM_ [0 .. nthreads - 1] $ \k -> start s k (fromIntegral (k + 1) * 0x9E3779B97F4A7C15)
  changed <- newEmptyMVar
  _ <- forkIO $ change s [1, n, 2, n + 1, max 1 (n `div` 2), n] `finally` putMVar changed ()
  mapM_ takeMVar (finished s)
  takeMVar changed
  own <- Own <$> newIORef 42 <*> array 1 (newIORef Nothing)
  forM_ (exchange s) $ \m -> tryTakeMVar m >>= mapM_ (release s own)
  capabilities s 1
  H.newHeap >>= writeIORef r
  left <- if "--finalizers-late" `elem` args then 0 <$ settle else settled s 50
  check s n left

-- | Collects until all finalizers have run and no block is left, and tells how many are.
settled :: Shared -> Int -> IO Int
settled s tries = do
  settle
  when (tries < 45) $ enabledAgain s
  blocks <- fromIntegral <$> mi_check_live_blocks
  pages <- sum . map capabilityPages <$> capabilityStats
  if blocks + pages == 0 || tries == 0 then pure (blocks + pages) else settled s (tries - 1)

-- | How many invariants are broken. An OS thread that is just ending is half-way through a change; what is
-- broken stays so.
walked :: Int -> IO CSize
walked tries = do
  n <- mi_check_all
  if n == 0 || tries == 0 then pure n else c_usleep 50000 >> walked (tries - 1)

-- What a capability holds that was disabled before its drainer was there comes back when it is enabled again.
enabledAgain :: Shared -> IO ()
enabledAgain s = do
  numbers <- map capabilityNumber <$> capabilityStats
  capabilities s (maximum (0 : numbers) + 1)
  watched drainAll
  capabilities s 1

-- A bound thread's OS thread ends some time after it.
settle :: IO ()
settle = do
  replicateM_ 2 performMajorGC
  _ <- c_usleep 20000
  watched reinitializeCapabilities
  runOnCapability 0 (mi_collect 1)

check :: Shared -> Int -> Int -> IO ()
check s n left = do
  overlaps <- mi_check_overlaps
  violated <- walked 20
  heaps <- capabilityStats
  steps <- readIORef (nsteps s)
  struck <- readIORef (nstruck s)
  killed <- readIORef (nkilled s)
  changes <- readIORef (nchanges s)
  seen <- readIORef (problems s)
  asked <- pressureMajorCollections <$> pressureStats
  happened' <- happened s
  let remote = sum (map capabilityRemoteFreed heaps)
  putStrLn $ show n ++ " capabilities: " ++ show steps ++ " steps, " ++ show struck ++ " struck, "
    ++ show killed ++ " killed, " ++ show changes ++ " changes, " ++ show (length heaps) ++ " heaps, "
    ++ show remote ++ " blocks freed by others, " ++ show asked ++ " collections asked for"
  let wrong = seen
        ++ [ "overlaps: " ++ show overlaps | overlaps /= 0 ]
        ++ [ "broken invariants: " ++ show violated | violated /= 0 ]
        ++ [ "blocks and heaps' pages left: " ++ show left | left /= 0 ]
        ++ [ "too little happened" | 0 `elem` happened' ]
  forM_ wrong putStrLn
  unless (null wrong) exitFailure

{-# LANGUAGE BangPatterns #-}
-- Collections that are asked for because of native memory: how many, and how much lives meanwhile, in shapes
-- of use. Each shape is a process of its own, with its own flags for the runtime system; no time is measured,
-- but beside another ("Pressure.Beside").
module Main (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import Data.IORef
import Data.List (isInfixOf)
import qualified Data.Vector.Mutable as Boxed
import qualified Data.Vector.Storable as Storable
import Data.Word (Word64, Word8)
import Foreign.C.Types (CInt (..), CUInt (..))
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.Marshal.Alloc (alloca)
import qualified Foreign.Marshal.Alloc as C (free, mallocBytes)
import Foreign.Marshal.Array (withArray)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (plusPtr)
import System.Directory (getTemporaryDirectory, removeFile)
import System.Environment (setEnv)
import System.Exit (ExitCode (..))
import System.IO (hClose, hSetFileSize, openBinaryTempFile)
import System.IO.Unsafe (unsafePerformIO)
import System.Mem (performMajorGC, performMinorGC)
import System.Timeout (timeout)
import Test.Tasty
import Test.Tasty.HUnit

import Api.Child
import Mimalloc
import qualified Mimalloc.ByteString as Mi
import Mimalloc.Heap
import Mimalloc.Pressure
import Mimalloc.Stats (Gauges (..), Stats (..), getStats, statsJson)
import qualified Mimalloc.Store as Store
import qualified Mimalloc.Vector as V
import qualified Pressure.Beside as Beside

main :: IO ()
main = mainOr (shapes ++ Beside.shapes) $ setEnv "TASTY_NUM_THREADS" "1" >> defaultMain tests

tests :: TestTree
tests = testGroup "pressure" $
  [ testGroup ("capabilities: " ++ flags)
    [ shape flags "drop" $ \s -> do
        atMost "MiB held" 48 (held s)
        atLeast "collections" 5 (minor s + major s)
    , shape flags "map" $ \s -> do
        atMost "major collections" 50 (major s)         -- 2000 MiB of garbage beside 100, if all are in time
        atLeast "collections" 1 (minor s + major s)
        atMost "MiB held" 1400 (held s)
    , copying flags $ shape flags "promoted" $ \s -> atMost "MiB held" 200 (held s)
    , shape flags "growable" $ \s -> atMost "MiB held" 96 (held s)
    , shape flags "regions" $ \s -> atMost "MiB held" 80 (held s)
    , shape flags "ended" $ \s -> atMost "MiB held" 1 (held s) >> atMost "collections" 0 (minor s + major s)
    , shape flags "weight" $ const (pure ())
    , copying flags $ shape flags "files" $ \s -> atLeast "collections" 1 (minor s + major s)
    , copying flags $ shape flags "files, no addresses" $ const (pure ())
    , copying flags $ shape flags "a file that is dropped goes" $ const (pure ())
    , shape flags "a region that ends goes" $ const (pure ())
    , shape flags "a major collection is seen" $ \s -> atMost "collections" 0 (minor s + major s)
    , copying flags $ nobodyElse flags "late frees wait for a collection"
    , copying flags $ nobodyElse flags "late frees are not purged"
    , shape flags "unwanted" $ \s -> atMost "collections" 4 (minor s + major s)
    , limited flags "limit"
    , limited flags "limit, regions"
    , limited flags "limit, growable"
    , copying flags $ bounded flags "limit, in one arena"
    , bounded flags "more than there can be"
    , copying flags $ bounded flags "more than what lives leaves"
    , limited flags "limit, store"
    , refusing flags "refused, newHeap"
    , refusing flags "refused, getStats"
    , refusing flags "refused, statsJson"
    , shape flags "share" $ \s -> atLeast "collections" 50 (major s)
    , shape flags "threads that are killed" $ const (pure ())
    , shape flags "lazy values" $ const (pure ())
    -- The non-moving collector promotes what one collection finds, so that one may be left to the next major.
    , shape flags "lazy values that die young" $
        atMost "MiB held" (if flags == "-N2 -xn" then 1 else 0) . held
    ]
  | flags <- ["-N1", "-N2", "-N4 -qg", "-N2 -A64m", "-N2 -xn"] ]
  ++ [ testGroup ("beside bytestring: " ++ flags) (Beside.tests flags) | flags <- ["-N1", "-N2"] ]

-- What a child says of itself: the most that was held, MiB, and collections asked for.
data Said = Said { held, minor, major :: !Int } deriving (Read, Show)

atMost, atLeast :: String -> Int -> Int -> Assertion
atMost what n x = assertBool (show x ++ " " ++ what ++ ", at most " ++ show n) (x <= n)
atLeast what n x = assertBool (show x ++ " " ++ what ++ ", at least " ++ show n) (x >= n)

shape :: String -> String -> (Said -> Assertion) -> TestTree
shape = shapeWith []

limited :: String -> String -> TestTree
limited flags name = copying flags $
  shapeWith [("MIMALLOC_COMMIT_LIMIT", "64MiB")] flags name (atMost "MiB held" 65 . held)

-- The same, and the shape itself says what is wrong.
bounded :: String -> String -> TestTree
bounded flags name = shapeWith [("MIMALLOC_COMMIT_LIMIT", "64MiB")] flags name (const (pure ()))
-- Nobody gives memory back but who is told to.
nobodyElse :: String -> String -> TestTree
nobodyElse flags name = shapeWith
  [ ("MIMALLOC_PURGE_DELAY", if name == "late frees are not purged" then "0" else "1000000")
  , ("MIMALLOC_PURGE_THREAD", "0"), ("MIMALLOC_ARENA_RESERVE", "4MiB") ]
  flags name (const (pure ()))

-- No collection comes by itself.
refusing :: String -> String -> TestTree
refusing flags name = copying flags $
  shapeWith [("MALLOC_ARENA_MAX", "1")] (flags ++ " -A64m") name (atLeast "major collections" 1 . major)

-- The non-moving collector finds what is dead some time later, or much later.
copying :: String -> TestTree -> TestTree
copying flags test = if "-xn" `isInfixOf` flags then testGroup "not with this collector" [] else test

shapeWith :: [(String, String)] -> String -> String -> (Said -> Assertion) -> TestTree
shapeWith settings flags name check = testCase name $ do
  (code, out, err) <- child (("GHCRTS", flags) : settings) name
  assertBool (show code ++ err ++ out) (code == ExitSuccess)
  check (read (last (lines out)))

shapes :: [(String, IO ())]
shapes = map (\(name, act) -> (name, reported act))
  [ ("drop", \look -> forM_ [1 .. 2000] $ \i -> block 262144 i >> look)
  , ("map", \look -> do
      let !values = foldr seq () many `seq` many
          many = [1 .. 2000000] :: [Int]
      performMajorGC
      keeping 20 2000 look
      when (sum values < 0) $ fail "the sum is wrong")
  , ("promoted", keeping 32 3000)
  , ("growable", \look -> replicateM_ 100 $ do
      g <- V.newGrowable 0
      forM_ [1 .. 300000 :: Int] (V.push g)
      V.growableLength g >>= \n -> when (n /= 300000) (fail "an element is lost")
      look)
  , ("regions", \look -> replicateM_ 5000 $
       newHeap >>= \h -> heapMallocForeignPtrBytes h 100000 >>= touched >> look)
  , ("ended", \look -> replicateM_ 500 $ do
      h <- newHeap
      heapMallocForeignPtrBytes h 100000 >>= touched
      unsafeEndHeap h >> unsafeEndHeap h >> endHeap h
      ended <- try (heapMallocForeignPtrBytes h 10 :: IO (ForeignPtr Word8))
      either (\e -> const (pure ()) (e :: IOException)) (const (fail "the heap has ended")) ended
      look)
  , ("weight", const weight)
  , ("files", files)
  , ("files, no addresses", const addresses)
  , ("a file that is dropped goes", const dropped)
  , ("a region that ends goes", const regionEnds)
  , ("a major collection is seen", const seesMajor)
  , ("late frees wait for a collection", const waitsForCollection)
  , ("late frees are not purged", const notPurged)
  , ("unwanted", \look -> replicateM_ 3000 $ do
      fp <- block 1048576 1
      finalizeForeignPtr fp
      look)
  , ("limit", keeping 20 1000)
  , ("limit, regions", \look -> forM_ [1 .. 5000 :: Int] $ \i -> do
      h <- newHeap
      heapMallocForeignPtrBytes h 100000 >>= touched
      when (even i) $ endHeap h
      look)
  , ("limit, growable", \look -> with PressureOff $ replicateM_ 100 $ do
      g <- V.newGrowable 0
      forM_ [1 .. 300000 :: Int] (V.push g)
      look)
  , ("limit, in one arena", \look -> oneArena >>= \arena -> withHeapInArena arena $ \h ->
      replicateM_ 500 $ heapMallocForeignPtrBytes h 1000000 >>= touched >> look)
  , ("more than there can be", const absurd)
  , ("more than what lives leaves", const tooMuch)
  , ("limit, store", \look -> with PressureOff $ do
      store <- Store.newStore
      forM_ [1 .. 40] (block 1048576)
      replicateM_ 1100000 (Store.putString store (ByteString.singleton 120))
      n <- Store.storeSize store
      when (n /= 1100000) $ fail "a string is lost"
      look)
  , ("refused, newHeap", const (refused newHeap))
  , ("refused, getStats", const (refused getStats))
  , ("refused, statsJson", const (refused statsJson))
  , ("share", const shares)
  , ("threads that are killed", killed)
  , ("lazy values that die young", \look -> do
      -- The one in whose making a collection is asked for, too.
      source <- evaluate (ByteString.replicate 1048600 7)
      forM_ [1 .. 12] $ \i -> evaluate (Mi.copy (ByteString.drop i source)) >>= evaluate . ByteString.last
      replicateM_ 3 performMinorGC
      look)
  , ("lazy values", \look -> forM_ [1 .. 300 :: Int] $ \i -> do
      let s = Mi.copy (ByteString.replicate 1048576 (fromIntegral i))
      ends <- replicateM 3 $ newEmptyMVar >>= \end ->
        end <$ forkIO (evaluate (ByteString.last s) >>= putMVar end)
      mapM takeMVar ends >>= \xs -> when (xs /= replicate 3 (fromIntegral i)) (fail "a byte is lost")
      look)
  ]

-- The shape is given what is to be called now and then.
reported :: (IO () -> IO ()) -> IO ()
reported act = do
  most <- newIORef 0
  act $ pressureStats >>= \s -> atomicModifyIORef' most (\m -> (max m (pressureHeldBytes s), ()))
  s <- pressureStats
  m <- readIORef most
  print (Said (m `quot` 1048576) (pressureMinorCollections s) (pressureMajorCollections s))

-- A large block weighs the whole slices that it takes up. When it goes it takes as much with it, also one
-- that has been resized.
weight :: IO ()
weight = do
  before <- now
  fp <- block 66000 1
  one <- now
  finalizeForeignPtr fp
  none <- now
  when (one - before /= 131072 || none /= before) $ fail ("it weighs " ++ show (one - before, none - before))
  g <- V.newGrowable 8300
  forM_ [1 .. 20000 :: Int] (V.push g)
  v <- V.takeVector g
  finalizeForeignPtr (fst (Storable.unsafeToForeignPtr0 v))
  rest <- now                                           -- what holds the growable's block, and is there still
  when (rest < before || rest > before + 1024) $ fail ("so much stays: " ++ show (rest - before))
  where now = pressureHeldBytes <$> pressureStats

block :: Int -> Int -> IO (ForeignPtr Word8)
block n i = do
  fp <- mallocForeignPtrBytes n
  withForeignPtr fp $ \p -> fillBytes p (fromIntegral i) n
  pure fp

-- Mapped and dropped beside a large heap, of which GHC hardly ever makes a major collection by itself. A
-- process may have 65530 mappings.
files :: IO () -> IO ()
files look = do
  let !values = foldr seq () many `seq` many
      many = [1 .. 1000000] :: [Int]
  performMajorGC
  ring <- Boxed.replicate 1000 ByteString.empty
  forM_ [1 .. 30000] $ \i -> do
    s <- Mi.mapFile "LICENSE"
    when (ByteString.length s < 100) $ fail "it is short"
    Boxed.write ring (i `rem` 1000) s
    when (i `rem` 500 == 0) $ do
      look
      n <- ByteString.count 10 <$> ByteString.readFile "/proc/self/maps"
      when (n > 10000) $ fail (show n ++ " mappings")
  when (sum values < 0) $ fail "the sum is wrong"

-- Files that are larger than what a process has addresses for, all together, when no collection is asked for
-- because of pressure. Where there is a limit that is below one of them nothing can be tried.
addresses :: IO ()
addresses = do
  dir <- getTemporaryDirectory
  bracket (openBinaryTempFile dir "mimalloc") (\(path, h) -> hClose h >> removeFile path) $ \(path, h) -> do
    one <- try (hSetFileSize h (4 * 1024 * 1024 * 1024 * 1024) >> Mi.mapFile path)
    case one of
      Left e -> putStrLn ("no such file can be mapped: " ++ show (e :: IOException))
      Right _ -> with PressureOff $ replicateM_ 200 $ do
        s <- Mi.mapFile path
        when (ByteString.index s 12345678 /= 0) $ fail "there is something in it"

-- Nothing is called afterwards.
goes :: String -> IO Bool -> IO ()
goes what there = go (300 :: Int)
  where
    go 0 = fail (what ++ " stays")
    go n = there >>= \t -> when t $ threadDelay 50000 >> go (n - 1)

dropped :: IO ()
dropped = do
  dir <- getTemporaryDirectory
  (path, h) <- openBinaryTempFile dir "mimalloc"
  hSetFileSize h 67108864 >> hClose h
  let there = isInfixOf path . Char8.unpack <$> ByteString.readFile "/proc/self/maps"
  s <- Mi.mapFile path
  removeFile path
  mapped <- there
  unless (mapped && ByteString.index s 12345678 == 0) $ fail "it is not mapped"
  performMajorGC >> performMajorGC
  goes "the file" there

regionEnds :: IO ()
regionEnds = do
  h <- newHeap
  replicateM_ 10000 $ heapMallocForeignPtrBytes h 8000 >>= \fp -> withForeignPtr fp (\p -> fillBytes p 1 8000)
  before <- resident
  unsafeEndHeap h
  goes "the region" ((> before - 60 * 1048576) <$> resident)
  where
    resident :: IO Int
    resident = (* 4096) . read . (!! 1) . words . Char8.unpack <$> ByteString.readFile "/proc/self/statm"

-- One that nobody asked for: the next minor one is due later.
seesMajor :: IO ()
seesMajor = do
  one <- block 1200000 1
  before <- pressureNextBytes <$> pressureStats
  performMajorGC
  another <- block 1200000 1
  now <- pressureNextBytes <$> pressureStats
  when (now <= before) $ fail (show (before, now))
  mapM_ touched [one, another]

-- A mapping that is freed by the second collection can go once that has come to its end, a major one.
waitsForCollection :: IO ()
waitsForCollection = do
  block 1 1 >>= finalizeForeignPtr
  before <- committed
  block 33554432 1 >>= touched
  during <- committed
  performMajorGC >> performMajorGC
  mi_collect 0
  now <- committed
  when (during < before + 33554432 || now >= during) $ fail (show (before, during, now))
  where committed = gaugeCommittedBytes . statsGauges <$> getStats

-- Other threads may still read what is freed so.
notPurged :: IO ()
notPurged = do
  ps <- replicateM 200 $ block 8000 7 >>= \fp -> withForeignPtr fp (pure . (`plusPtr` 4000))
  performMajorGC >> performMajorGC
  held_ <- pressureHeldBytes <$> pressureStats
  bytes <- mapM peek ps
  when (held_ > 100000) $ fail ("they live: " ++ show held_)
  when (any (/= (7 :: Word8)) bytes) $ fail (show (length (filter (/= 7) bytes)) ++ " are gone")

touched :: ForeignPtr Word8 -> IO ()
touched fp = withForeignPtr fp (`poke` 1)

-- So many of 1 MiB, of which some are kept for a while: promoted before they die.
keeping :: Int -> Int -> IO () -> IO ()
keeping kept count look = do
  ring <- Boxed.replicate kept Nothing
  forM_ [1 .. count] $ \i -> do
    fp <- block 1048576 i
    Boxed.write ring (i `rem` kept) (Just fp)
    look
  forM_ [count - kept + 1 .. count] $ \i -> Boxed.read ring (i `rem` kept) >>= \fp -> case fp of
    Just p -> withForeignPtr p peek >>= \b -> when (b /= fromIntegral i) $ fail "a byte is lost"
    Nothing -> fail "a block is lost"

-- An arena of 8 MiB for heaps that ask for it.
oneArena :: IO MiArenaId
oneArena = alloca $ \q -> do
  failed <- mi_reserve_os_memory_ex 8388608 1 0 1 q
  when (failed /= 0) $ fail "no arena"
  peek q

-- Nobody collects for what cannot be had, whatever dies.
absurd :: IO ()
absurd = do
  arena <- oneArena
  asked <- collections $ replicateM_ 20 $ do
    forM_ [1000000000, 2 ^ (50 :: Int), maxBound] $ \n -> do
      unmet $ mallocForeignPtrBytes n
      unmet $ zallocForeignPtrBytes n
      unmet $ withMallocBytes n pure
      newHeap >>= \h -> unmet (heapMallocForeignPtrBytes h n)
    withHeapInArena arena $ \h -> unmet (heapMallocForeignPtrBytes h 10000000)
  when (asked > 0) $ fail ("collections: " ++ show asked)

-- What can be had only if something dies: collections cost a part of the time. In all of them together no
-- time passes, beside what one of them takes. But what is let go of when there was no memory is found.
tooMuch :: IO ()
tooMuch = do
  arena <- oneArena
  let !values = foldr seq () many `seq` many
      many = [1 .. 2000000] :: [Int]
  performMajorGC
  kept <- replicateM 50 (block 1048576 1) >>= newIORef
  first <- collections $ unmet $ block 30000000 1
  when (first /= 1) $ fail ("collections at first: " ++ show first)
  writeIORef kept []
  block 30000000 1 >>= finalizeForeignPtr
  alive <- replicateM 50 (block 1048576 1)
  few "for any arena" $ unmet $ block 30000000 1
  withHeapInArena arena $ \h -> do
    inArena <- newIORef []
    let fill = heapMallocForeignPtrBytes h 300000 >>= \p -> modifyIORef' inArena (p :) >> fill
    unmet fill
    few "for one arena" $ unmet (heapMallocForeignPtrBytes h 300000) >> block 100000 1
    readIORef inArena >>= mapM_ touched
  mapM_ touched alive
  when (sum values < 0) $ fail "the sum is wrong"
  where
    few what act = do
      asked <- collections $ replicateM_ 100 act
      when (asked > 20) $ fail ("collections " ++ what ++ ": " ++ show asked)

-- How many major ones are asked for meanwhile.
collections :: IO a -> IO Int
collections act = do
  before <- pressureMajorCollections <$> pressureStats
  _ <- act
  subtract before . pressureMajorCollections <$> pressureStats

unmet :: IO a -> IO ()
unmet act = try (void act) >>= \r -> case r of
  Left e | isResourceExhausted e -> pure ()
  _ -> fail ("memory is not exhausted: " ++ show r)

-- Four threads under a budget that is below what lives: nobody starves. The system's scheduler lets one run
-- while another waits; so they go on until the sums are fair, and that is soon.
shares :: IO ()
shares = do
  alive <- replicateM 4 (block 1048576 1)
  mines <- replicateM 4 (newIORef (0 :: Int))
  let go = do
        share 1000 mines
        made <- mapM readIORef mines
        when (1000 * minimum made < 75 * sum made) $
          if sum made < 64000 then go else fail ("shares: " ++ show made)
  with (PressureBytes 1048576) go
  mapM_ touched alive

share :: Int -> [IORef Int] -> IO ()
share most mines = do
  total <- newIORef 0
  ends <- forM mines $ \mine -> do
    end <- newEmptyMVar
    let go = atomicModifyIORef' total (\n -> (n + 1, n)) >>= \n ->
          when (n < most) (block 20000 n >> modifyIORef' mine (+ 1) >> go)
    end <$ forkIO (go >> putMVar end ())
  mapM_ takeMVar ends

-- Makers that are killed at any moment, and then others go on asking.
killed :: IO () -> IO ()
killed look = do
  forM_ [1 .. 200 :: Int] $ \i -> do
    threads <- replicateM 4 $ forkIO $ forever $ block 1048576 i
    threadDelay 1000
    look
    mapM_ killThread threads
    _ <- timeout 500 (evaluate (ByteString.length (lazily i)))
    pure ()
  before <- pressureStats
  forM_ [1 .. 200] $ \i -> block 1048576 i >> look
  performMajorGC >> performMinorGC
  then_ <- pressureStats
  when (pressureMinorCollections then_ + pressureMajorCollections then_
      == pressureMinorCollections before + pressureMajorCollections before) $
    fail "nobody asks any more"
  where
    lazily :: Int -> ByteString.ByteString
    lazily i = unsafePerformIO (Mi.create 4000000 (\p -> fillBytes p (fromIntegral i) 4000000))
    {-# NOINLINE lazily #-}

-- The system refuses further memory, and what could be given back is dead: until it has been collected.
-- The runtime system itself ends the program where C's malloc has nothing: that gets some before, from which
-- threads that begin later take, too. It ends it also where it cannot make an OS thread while others are in
-- safe calls: it gets some before, which it keeps.
refused :: IO a -> IO ()
refused act = with PressureOff $ do
  calls <- replicateM 8 $ newEmptyMVar >>= \end -> end <$ forkIO (c_usleep 50000 >>= putMVar end)
  mapM_ takeMVar calls
  replicateM 2000 (C.mallocBytes 72 :: IO (Ptr ())) >>= mapM_ C.free
  replicateM_ 3 (act >> performMajorGC)
  _ <- mallocForeignPtrBytes 1000000000 :: IO (ForeignPtr Word8)
  size <- (* 4096) . read . takeWhile (/= ' ') <$> readFile "/proc/self/statm"
  withArray [size, size] (c_setrlimit 9) >>= \e -> when (e /= 0) (fail "setrlimit")
  before <- pressureMajorCollections <$> pressureStats
  kept <- newIORef []
  let go n = do
        act >>= \x -> modifyIORef kept (x :)
        now <- pressureMajorCollections <$> pressureStats
        when (now == before && n < 10000) $ go (n + 1)
  go (0 :: Int)
  readIORef kept >>= \xs -> when (null xs) (fail "they live until now")

foreign import ccall safe "usleep" c_usleep :: CUInt -> IO CInt

-- RLIMIT_AS is 9.
foreign import ccall unsafe "setrlimit" c_setrlimit :: CInt -> Ptr Word64 -> IO CInt

with :: Pressure -> IO a -> IO a
with p = bracket_ (setPressure p) (setPressure PressureAdaptive)

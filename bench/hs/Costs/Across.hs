-- | What threads and capabilities do to each other: frees on another capability, finalizers in bulk, more
-- capabilities than processors, bound threads with safe calls, threads that sit idle.
module Costs.Across
  ( remote
  , bulk
  , throughput
  , bound
  , idle
  ) where

import Control.Concurrent
import Control.Exception (evaluate)
import Control.Monad
import Data.Bits (shiftL, shiftR, xor, (.&.))
import Data.IORef
import Data.Word (Word8, Word64)
import Foreign.C.Types (CSize (..), CUInt (..))
import qualified Foreign.ForeignPtr as Base
import Foreign.Marshal.Alloc (finalizerFree, free, mallocBytes)
import Foreign.Marshal.Array (allocaArray)
import Foreign.Marshal.Utils (fillBytes)
import System.Exit (exitFailure)

import Costs.Measure
import Costs.Ways (times, touch)
import Mimalloc

foreign import ccall safe "mi_malloc" safe_mi_malloc :: CSize -> IO (Ptr Word8)
foreign import ccall safe "mi_free" safe_mi_free :: Ptr Word8 -> IO ()
foreign import ccall safe "malloc" safe_malloc :: CSize -> IO (Ptr Word8)
foreign import ccall safe "free" safe_free :: Ptr Word8 -> IO ()
foreign import ccall safe "sleep" safe_sleep :: CUInt -> IO CUInt

type Pair = (String, Int -> IO (Ptr Word8), Ptr Word8 -> IO ())

manual :: [Pair]
manual = [("base", mallocBytes, free), ("mi", mi_malloc . fromIntegral, mi_free)]

-- | Blocks of capability 0, freed there or on capability 1; and what making the same number again costs then.
remote :: Int -> IO ()
remote rounds = forM_ [48, 1024, 65536] $ \size -> do
  let n = if size > 10000 then 1000 else 10000
  allocaArray n $ \blocks -> do
    let make new = on 0 . nanoseconds $
          forM_ [0 .. n - 1] $ \i -> new size >>= \p -> touch p >> pokeAt blocks i p
        giveBack old c = on c . nanoseconds $ forM_ [0 .. n - 1] $ \i -> peekAt blocks i >>= old
        each = (/ fromIntegral n)
    figures <- replicateM rounds $ forM manual $ \(_, new, old) -> do
      _ <- make new
      here <- giveBack old 0
      makeHere <- make new
      there <- giveBack old 1
      makeThere <- make new
      _ <- giveBack old 0
      pure (map each [here, there, makeHere, makeThere])
    forM_ (zip [0 ..] manual) $ \(i, (who, _, _)) ->
      forM_ (zip [0 ..] ["free here", "free there", "malloc after free here", "malloc after free there"]) $
          \(j, what) ->
        line "remote" (who ++ ": " ++ what) size [round' !! i !! j | round' <- figures]
  where
    pokeAt :: Ptr (Ptr Word8) -> Int -> Ptr Word8 -> IO ()
    pokeAt = pokeElemOff
    peekAt :: Ptr (Ptr Word8) -> Int -> IO (Ptr Word8)
    peekAt = peekElemOff

-- | Foreign pointers of capability 0, all finalized on capability 0 or 1: by finalizeForeignPtr, or by a
-- collection, for which those without finalizers are the control.
bulk :: Int -> IO ()
bulk rounds = interleaved "bulk" rounds $ concat
  [ [ Thing (who ++ ": finalizeForeignPtr " ++ place) 48 (made new >>= \kept ->
        on c (nanoseconds (readIORef kept >>= mapM_ Base.finalizeForeignPtr) >>= each))
    | (who, new) <- makers, who /= control ] ++
    [ Thing (who ++ ": collected " ++ place) 48 (made new >>= \kept ->
        writeIORef kept [] >> on c (nanoseconds collected >>= each))
    | (who, new) <- makers ]
  | (place, c) <- [("here", 0), ("there", 1)] ]
  where
    n = 10000 :: Int
    control = "no finalizer"
    makers :: [(String, IO (ForeignPtr Word8))]
    makers = [ ("base", mallocBytes 48 >>= Base.newForeignPtr finalizerFree)
             , ("mi", mallocForeignPtrBytes 48), (control, Base.mallocForeignPtrBytes 48) ]
    made new = do
      kept <- on 0 (replicateM n new >>= newIORef)
      collected
      pure kept
    each = pure . (/ fromIntegral n)

-- | The same work on 2, 4 and 8 capabilities: nanoseconds for one replacement of a block, all capabilities
-- together.
throughput :: Int -> IO ()
throughput rounds = interleaved "throughput" rounds
  [ Thing (who ++ " -N" ++ show caps) 0 (with caps (nanoseconds
      (onEach caps (\c -> act (total `div` caps) (c + 1))) >>= \t -> pure (t / fromIntegral total)))
  | caps <- [2, 4, 8], (who, act) <- workers ]
  where
    -- the threads of some capabilities run after the others: many turns of the system's scheduler
    total = 16000000 :: Int
    with caps act = setNumCapabilities caps >> act
    workers = [(who, replacing new old) | (who, new, old) <- manual]
      ++ [("mi brackets", brackets), ("base brackets", bracketsOfBase)]
    brackets n _ = times (withMallocBytes 1024 touch) n
    bracketsOfBase n _ = times (mallocBytes 1024 >>= \p -> touch p >> free p) n

-- | Random sizes of 16 to 1039 bytes in a set of 256.
replacing :: (Int -> IO (Ptr Word8)) -> (Ptr Word8 -> IO ()) -> Int -> Int -> IO ()
replacing new old count seed = allocaArray set $ \blocks -> do
  forM_ [0 .. set - 1] $ \i -> new 16 >>= pokeElemOff blocks i
  go blocks count (fromIntegral seed * 88172645463325252)
  forM_ [0 .. set - 1] $ \i -> peekElemOff blocks i >>= old
  where
    set = 256
    go :: Ptr (Ptr Word8) -> Int -> Word64 -> IO ()
    go _ 0 _ = pure ()
    go blocks n r0 = do
      let r1 = r0 `xor` (r0 `shiftL` 13)
          r2 = r1 `xor` (r1 `shiftR` 7)
          r = r2 `xor` (r2 `shiftL` 17)
          i = fromIntegral (r .&. 255)
      peekElemOff blocks i >>= old
      p <- new (16 + fromIntegral ((r `shiftR` 20) .&. 1023))
      touch p
      pokeElemOff blocks i p
      go blocks (n - 1) r
{-# INLINE replacing #-}

-- | A thousand bound threads at once, each with a hundred pairs of safe calls: nanoseconds for one pair, the
-- threads' own costs included.
bound :: Int -> IO ()
bound rounds = interleaved "bound" rounds
  [ Thing (who ++ ": pair of safe calls in a bound thread") size (nanoseconds (all' size new old) >>= \t ->
      pure (t / fromIntegral (threads * pairs)))
  | size <- [48, 65536]
  , (who, new, old) <- [("base", safe_malloc, safe_free), ("mi", safe_mi_malloc, safe_mi_free)] ]
  where
    threads = 1000
    pairs = 100
    all' size new old = do
      dones <- replicateM threads $ do
        done <- newEmptyMVar
        done <$ forkOS (times (new (fromIntegral size) >>= \p -> touch p >> old p) pairs >> putMVar done ())
      mapM_ takeMVar dones

-- | A thousand bound threads, each of which allocates 64 KiB in safe calls, in blocks of this size, writes to
-- all of it, and then sits in a safe call: resident memory in KiB. Who: mi, base, or nobody (the threads
-- alone).
idle :: String -> Int -> IO ()
idle who size = do
  before <- resident
  ready <- replicateM 1000 $ do
    done <- newEmptyMVar
    done <$ forkOS (allocate >> putMVar done () >> void (safe_sleep 1000))
  mapM_ takeMVar ready
  threadDelay 1500000
  after <- resident
  line "idle" who size [fromIntegral (after - before)]
  where
    allocate = case who of
      "mi" -> each safe_mi_malloc
      "base" -> each safe_malloc
      "nobody" -> pure ()
      _ -> exitFailure
    each new = replicateM_ (65536 `div` size) (new (fromIntegral size) >>= \p -> fillBytes p 1 size)

-- | In KiB.
resident :: IO Int
resident = do
  numbers <- words <$> readFile "/proc/self/statm"
  evaluate (4 * read (numbers !! 1))

-- | Blocks of a capability that does nothing any more.
module Memory.Capability
  ( capability
  ) where

import Control.Concurrent
import Control.Monad
import Data.IORef
import Data.Word (Word8)
import Foreign.Marshal.Alloc (allocaBytes, free, mallocBytes)
import Foreign.Ptr (intPtrToPtr, ptrToIntPtr)
import System.Exit (die)

import Memory.Drain
import Memory.Random
import Memory.Report
import Mimalloc
import Mimalloc.Capability (runOnCapability)

-- | LIVE MiB of blocks of 16 bytes to 1 MiB, as many in each octave, of capability 1, which then sleeps or is
-- disabled; FREED MiB of them are freed at random on capability 0; then nothing is done for two seconds.
capability :: String -> String -> String -> Int -> Int -> IO ()
capability who state how total freed = do
  (new, old) <- case who of
    "mi" -> pure (mi_malloc . fromIntegral, mi_free)
    "base" -> pure (mallocBytes, free)
    _ -> die ("nobody is called " ++ who)
  setNumCapabilities 2
  runOnCapability 0 . allocaBytes (16 * most) $ \table -> do
    forM_ [0, 256 .. 2 * most - 1] $ \i -> pokeElemOff table i (0 :: Int)
    random <- newRandom 0
    live <- newIORef 0
    count <- newIORef 0
    runOnCapability 1 warm
    own
    phase "start"
    runOnCapability 1 $ whileM ((< total * mib) <$> readIORef live) $ do
      n <- readIORef count
      size <- octaves random 4 20
      p <- new size :: IO (Ptr Word8)
      forM_ [0, 4096 .. size - 1] $ \i -> pokeByteOff p i (1 :: Word8)
      pokeElemOff table (2 * n) (fromIntegral (ptrToIntPtr p)) >> pokeElemOff table (2 * n + 1) size
      writeIORef count $! n + 1
      add live size n
    when (state == "disabled") $ setNumCapabilities 1
    when (how == "background") inBackground
    phase "free"
    least <- subtract (freed * mib) <$> readIORef live
    whileM ((> least) <$> readIORef live) $ do
      n <- readIORef count
      i <- between random 0 (n - 1)
      p <- peekElemOff table (2 * i)
      size <- peekElemOff table (2 * i + 1)
      old (intPtrToPtr (fromIntegral p))
      peekElemOff table (2 * n - 2) >>= pokeElemOff table (2 * i)
      peekElemOff table (2 * n - 1) >>= pokeElemOff table (2 * i + 1)
      writeIORef count $! n - 1
      add live (negate size) n
    readIORef live >>= liveBytes
    when (how == "drain") drain
    phase "idle"
    threadDelay 2300000
    phase "end"
  where
    mib = 1048576
    most = total * 16 + 1000                    -- blocks: the mean of their sizes is 98 KiB
    whileM test act = test >>= \t -> when t (act >> whileM test act)
    add live size n = do
      v <- readIORef live
      writeIORef live $! v + size
      when (n `rem` 256 == 0) $ liveBytes (v + size)

-- | What the programs say of themselves: a line each, in the words of bench/c/memory.c, times by the
-- monotonic clock.
module Memory.Report
  ( began
  , own
  , warm
  , phase
  , liveBytes
  , figure
  ) where

import Control.Exception (evaluate)
import Control.Monad (replicateM_)
import Data.IORef (newIORef)
import Data.List (intercalate)
import GHC.Clock (getMonotonicTime)
import System.IO
import System.Mem (performMinorGC)
import System.Posix.Internals (c_getpid)

say :: [String] -> IO ()
say what = putStrLn (intercalate "\t" what) >> hFlush stdout

-- | First of all.
began :: IO ()
began = hSetBuffering stdout LineBuffering >> c_getpid >>= \pid -> say ["pid", show pid]

-- | What is resident before the first block: GHC's nursery too.
own :: IO ()
own = do
  warm
  numbers <- words <$> readFile "/proc/self/statm"
  bytes <- evaluate (4096 * read (numbers !! 1) :: Int)
  say ["own", show bytes]

-- | The nursery of this capability is written to, once round.
warm :: IO ()
warm = replicateM_ 600000 (newIORef ()) >> performMinorGC

phase :: String -> IO ()
phase name = getMonotonicTime >>= \t -> say ["phase", name, show t]

-- | Bytes that were asked for and are still wanted.
liveBytes :: Int -> IO ()
liveBytes n = getMonotonicTime >>= \t -> say ["live", show t, show n]

figure :: String -> Double -> IO ()
figure name value = say ["figure", name, show value]

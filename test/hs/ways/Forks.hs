-- forkProcess in a program with threads: while some allocate and free, processes are forked. Each child frees
-- what it inherits, allocates on its own, collects, and ends well; the parent goes on.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Foreign (Ptr, Word8, finalizeForeignPtr, peek, poke, withForeignPtr)
import System.Exit (ExitCode (..), exitFailure)
import System.Mem (performMajorGC)
import System.Posix.Process (ProcessStatus (..), forkProcess, getProcessStatus)

import Mimalloc (mallocForeignPtrBytes, withMallocBytes)
import Mimalloc.Primitive (mi_free, mi_malloc)
import Mimalloc.Stats

main :: IO ()
main = do
  stop <- newEmptyMVar
  threads <- forM [1 .. 4 :: Int] $ \k -> do
    done <- newEmptyMVar
    _ <- (if even k then forkOS else forkIO) $ churn stop >> putMVar done ()
    pure done
  ended <- replicateM 10 $ do
    raw <- forM [1 .. 200] $ \i -> mi_malloc (40 * i) :: IO (Ptr Word8)
    managed <- replicateM 200 (mallocForeignPtrBytes 3000)
    forM_ raw $ \p -> poke p 7
    child <- forkProcess $ do
      sevens <- mapM peek raw
      unless (all (== 7) sevens) exitFailure
      mapM_ mi_free raw
      mapM_ finalizeForeignPtr managed
      before <- fst <$> liveBlocks
      mine <- newEmptyMVar
      _ <- forkOS $ replicateM_ 500 (once 5) >> putMVar mine ()
      replicateM_ 500 (once 3)
      takeMVar mine
      settled before (1000 :: Int)
    status <- getProcessStatus True False child
    forM_ raw mi_free
    mapM_ finalizeForeignPtr managed
    pure status
  putMVar stop ()
  mapM_ takeMVar threads
  if all (== Just (Exited ExitSuccess)) ended then putStrLn "all well" else print ended >> exitFailure

-- Finalizers run some time after a collection.
settled :: Int -> Int -> IO ()
settled before tries = do
  performMajorGC
  yield
  now <- fst <$> liveBlocks
  when (now > before) $ if tries == 0 then exitFailure else settled before (tries - 1)

churn :: MVar () -> IO ()
churn stop = do
  replicateM_ 50 (once 11)
  running <- isEmptyMVar stop
  when running (churn stop)

once :: Int -> IO ()
once k = do
  managed <- mallocForeignPtrBytes (1000 * k)
  withForeignPtr managed $ \p -> poke p 1
  withMallocBytes (77 * k) $ \p -> poke p (2 :: Word8)
  yield

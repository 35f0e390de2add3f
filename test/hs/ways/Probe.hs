{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE RankNTypes #-}
-- A program that uses a little of everything. test/hs/Ways.hs builds and runs it in each way.
-- With --finalizers-late nothing is said about blocks that are left.
module Main (main) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.IORef
import Foreign hiding (mallocForeignPtr, mallocForeignPtrArray, mallocForeignPtrBytes, void)
import GHC.Conc (BlockReason (..), ThreadStatus (..), threadStatus)
import GHC.Stack (currentCallStack)
import System.Environment (getArgs)
import System.IO.Unsafe (unsafeInterleaveIO)
import System.Mem (performGC)

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Profile
import Mimalloc.Stats

main :: IO ()
main = do
  (before, _) <- liveBlocks
  threads <- forM [1 .. 8] $ \n -> do
    done <- newEmptyMVar
    _ <- (if rtsSupportsBoundThreads && even n then forkOS else forkIO) (try (worker n) >>= putMVar done)
    pure done
  sums <- mapM (\done -> takeMVar done >>= either (throwIO :: SomeException -> IO Int) pure) threads
  unless (sums == [ n * 1000 + sum [1 .. 200] | n <- [1 .. 8] ]) $ fail ("sums: " ++ show sums)
  mapM_ (resumed withMallocBytes) [1 .. 20]
  mapM_ (resumed (\n act -> withHeap (\heap -> withHeapMallocBytes heap n act))) [1 .. 20]
  home <- runOnCapability 0 getCurrentCapability
  unless (home == 0) $ fail ("runOnCapability 0 ran on " ++ show home)
  labelled
  heaps <- capabilityStats
  when (null heaps) $ fail "no capability has a heap"
  late <- getArgs
  unless (late == ["--finalizers-late"]) $ settled before 3000
  putStrLn "fine"

-- The label of a sample, and behind it the cost centres, if the program was built for profiling.
labelled :: IO ()
labelled = do
  centres <- currentCallStack
  startProfile 1
  kept <- withAllocationLabel "kept" $ {-# SCC "centre" #-} mallocForeignPtrBytes 70000
  stacks <- map stackFrames . profileStacks <$> getProfile
  stopProfile
  finalizeForeignPtr (kept :: ForeignPtr Word8)
  let behind = drop 1 (concat [ s | s <- stacks, take 1 s == ["kept"] ])
      wanted = null centres || (take 1 behind == ["MAIN.MAIN"] && "Main.centre" `elem` behind)
  unless (any ((== ["kept"]) . take 1) stacks && wanted) $ fail ("stacks: " ++ show (centres, stacks))

-- Blocks of all kinds, some of them passed to the garbage collector, some by exceptions.
worker :: Int -> IO Int
worker n = do
  kept <- mallocForeignPtrArray 1000
  withForeignPtr kept $ \p -> pokeArray p (replicate 1000 n)
  numbers <- forM [1 .. 200] $ \i -> do
    dropped <- callocForeignPtrArray i
    when (i `mod` 50 == 0) performGC
    when (i `mod` 7 == 0) $ finalizeForeignPtr (dropped :: ForeignPtr Word64)
    aligned <- withMallocAlignedBytes i 256 $ \p -> pure (ptrToWordPtr p `mod` 256)
    unless (aligned == 0) $ fail "not aligned"
    r <- try (withMalloc $ \p -> poke p i >> peek p >>= \x -> when (even x) (throwIO Overflow) >> pure x)
    block <- mi_malloc 100 >>= \p -> mi_realloc p 5000
    mi_free (block :: Ptr Word8)
    pure (either (\e -> if e == Overflow then i else 0) id r)
  (+ sum numbers) . sum <$> withForeignPtr kept (peekArray 1000)

-- A lazy value that is interrupted in its brackets, and gone on with.
resumed :: (forall a. Int -> (Ptr Word8 -> IO a) -> IO a) -> Int -> IO ()
resumed bracketOf n = do
  begun <- newIORef (0 :: Int)
  gate <- newEmptyMVar
  value <- unsafeInterleaveIO $ bracketOf n $ \p -> bracketOf 100 $ \q -> do
    modifyIORef begun (+ 1)
    poke p (fromIntegral n)
    deeply (n * 200) (poke q 7 >> takeMVar gate)
    (+) <$> peek p <*> peek q
  thread <- forkIO (void (evaluate value))
  let blocked = threadStatus thread >>= \s ->
        unless (s == ThreadBlocked BlockedOnMVar) (threadDelay 100 >> blocked)
  blocked
  killThread thread
  when (even n) performGC
  putMVar gate ()
  x <- evaluate value
  times <- readIORef begun
  unless (x == fromIntegral n + 7 && times == 1) $ fail ("resumed: " ++ show (n, x, times))

-- Much stack, in several pieces.
deeply :: Int -> IO () -> IO ()
deeply 0 act = act
deeply n act = deeply (n - 1) act >> when (n < 0) (fail "never")
{-# NOINLINE deeply #-}

-- Everything comes back, if not at once.
settled :: Int -> Int -> IO ()
settled before tries = do
  replicateM_ 2 performGC
  yield
  mi_collect 1
  (now, _) <- liveBlocks
  when (now > before + 20) $
    if tries > 0 then threadDelay 1000 >> settled before (tries - 1)
    else fail (show (now - before) ++ " blocks are left")

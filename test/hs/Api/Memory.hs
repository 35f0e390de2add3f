-- Memory that comes back: pressure, draining, and the limit of what is committed.
module Api.Memory (tests, children) where

import Control.Concurrent
import Control.Monad
import qualified Data.ByteString as ByteString
import Data.IORef
import Data.Word (Word8)
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import System.Exit
import System.IO.Unsafe (unsafeDupablePerformIO)
import System.Mem (performMajorGC, performMinorGC)
import System.Posix.Process (exitImmediately, forkProcess, getProcessStatus, ProcessStatus (..))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child (child)
import Api.Support
import Control.Exception
import Mimalloc
import qualified Mimalloc.ByteString as Bytes
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Pressure
import Mimalloc.Stats

tests :: TestTree
tests = testGroup "memory"
  [ testGroup "pressure"
      [ -- Before others that make much without writing to it, after which more may wait.
        testCase "a block that died is not there beside the next" $ do
          -- With mappings of their own. An idle capability may have run the finalizer, or a collection.
          let committed = gaugeCommittedBytes . statsGauges <$> getStats
          before <- committed
          forM_ [1 .. 20 :: Int] $ \i -> do
            fp <- mallocForeignPtrBytes 700000000 :: IO (ForeignPtr Word8)
            withForeignPtr fp (`poke` 1)
            after <- committed
            assertBool (show (i, before, after)) (after < before + 1000000000)
            when (odd i) $ finalizeForeignPtr fp
            performMajorGC
            threadDelay 20000
            when (i `rem` 3 == 0) performMinorGC
      , testCase "a loop over buffers stays small" $ do
          before <- pressureStats
          most <- newIORef 0
          replicateM_ 2000 $ do
            buffer 1048576
            held <- pressureHeldBytes <$> pressureStats
            modifyIORef' most (max (held - pressureHeldBytes before))
          after <- pressureStats
          held <- readIORef most
          -- How much waits for a collection depends on how long it took; 512 MiB at most.
          assertBool (show (held, before, after)) (held < 600 * 1048576)
          assertBool (show (before, after))
            (pressureMinorCollections after >= pressureMinorCollections before + 3
            && pressureMinorFreedBytes after + pressureMajorFreedBytes after
              > pressureMinorFreedBytes before + pressureMajorFreedBytes before + 1400 * 1048576)
      , testCase "loops of several threads stay small together" $ do
          before <- pressureHeldBytes <$> pressureStats
          most <- newIORef 0
          dones <- replicateM 4 $ do
            done <- newEmptyMVar
            done <$ forkIO (replicateM_ 1000 (buffer 1048576 >> highest most) >> putMVar done ())
          mapM_ takeMVar dones
          held <- subtract before <$> readIORef most
          assertBool (show held) (held < 700 * 1048576)          -- of 4000
      , testCase "off" $ with PressureOff $ do
          before <- pressureStats
          replicateM_ 64 (buffer 1048576)
          after <- pressureStats
          counters after @?= counters before
      , testCase "a budget of one byte" $ with (PressureBytes 1) $ do
          before <- pressureStats
          kept <- forM [1 .. 100] $ \n -> do
            fp <- mallocForeignPtrBytes (n * 100) :: IO (ForeignPtr Word8)
            fp <$ withForeignPtr fp (\p -> fillBytes p (fromIntegral n) (n * 100))
          after <- pressureStats
          assertBool (show (before, after))
            (pressureMajorCollections after >= pressureMajorCollections before + 90)
          forM_ (zip [1 ..] kept) $ \(n, fp) -> withForeignPtr fp $ \p ->
            allBytes (fromIntegral n) (n * 100) p >>= assertBool "contents"
      , testCase "what lives is not asked about for ever" $ do
          before <- pressureStats
          kept <- replicateM 3000 (mallocForeignPtrBytes 65536 :: IO (ForeignPtr Word8))
          after <- pressureStats
          assertBool (show (before, after))
            (pressureMajorCollections after <= pressureMajorCollections before + 12)
          assertBool (show after) (pressureHeldBytes after >= 3000 * 65536)
          mapM_ finalizeForeignPtr kept
      , testCase "every byte is counted, and counted back" $ do
          collectAll
          before <- pressureHeldBytes <$> pressureStats
          pointers <- sequence [mallocForeignPtrBytes 100, zallocForeignPtrBytes 100000
                               , mallocForeignPtrAlignedBytes 100 4096, mallocForeignPtrArray 7]
          held <- pressureHeldBytes <$> pressureStats
          let weight n = if n <= 65536 then n else (n + 65535) `div` 65536 * 65536   -- whole slices
          sizes <- mapM (\fp -> withForeignPtr (fp :: ForeignPtr Word8) mi_usable_size) pointers
          held - before @?= fromIntegral (sum (map weight sizes))
          mapM_ finalizeForeignPtr pointers
          string <- Bytes.create 5000 (\p -> fillBytes p 7 5000)
          inString <- pressureHeldBytes <$> pressureStats
          assertBool (show (before, inString)) (inString >= before + 5000 && inString < before + 7000)
          assertBool "contents" (ByteString.all (== 7) string)
          collectAll
          pressureStats >>= \s -> assertBool (show (before, s)) (pressureHeldBytes s <= before)
      , testCase "values that two threads begin at once" $ do
          n <- getNumCapabilities
          when (n > 1) $ do
            forM_ [1 .. 300] $ \i -> do
              let value = givenUp i
              done <- forM [0, 1] $ \c -> newEmptyMVar >>= \v -> v <$ forkOn c (evaluate value >>= putMVar v)
              forM_ done $ \v -> takeMVar v >>= (@?= i)
            before <- pressureStats
            replicateM_ 300 (buffer 1048576)
            after <- pressureStats
            assertBool (show (before, after)) (counters after > counters before)
      , testCase "settings" $ do
          getPressure >>= (@?= PressureAdaptive)
          invalid "setPressure" (setPressure (PressureBytes 0))
          with (PressureBytes 12345) (getPressure >>= (@?= PressureBytes 12345))
      ]
  , testGroup "draining"
      [ testCase "drainAll leaves no pages, and heaps go on" $ do
          n <- getNumCapabilities
          blocks <- forM [0 .. n - 1] $ \c -> runOnCapability c $ replicateM 1000 (mi_malloc 300)
          drainAll
          pages >>= (@?= 0)
          mapM_ (mapM_ mi_free) blocks
          more <- replicateM 1000 (mi_malloc 300)
          mapM_ mi_free more
      , testCase "reinitializeCapabilities takes the pages of those that are disabled" $
            when rtsSupportsBoundThreads $ do
          n <- getNumCapabilities
          setNumCapabilities (n + 2)
          let spread = forM [0 .. n + 1] $ \c -> runOnCapability c $ replicateM 1000 (mi_malloc 300)
          before <- spread
          drainAll  -- it returns when each capability has its drainer
          blocks <- (before ++) <$> spread
          setNumCapabilities n
          reinitializeCapabilities
          left <- sum . map capabilityPages . filter ((>= n) . capabilityNumber) <$> capabilityStats
          mapM_ (mapM_ mi_free) blocks
          left @?= 0
          getNumCapabilities >>= (@?= n)
      , testCase "also pages of other heaps" $ do
          n <- getNumCapabilities
          withHeap $ \heap -> do
            pointers <- runOnCapability (n - 1) $
              drainAll >> replicateM 3 (heapMallocForeignPtrBytes heap 3000)
            drainAll
            mapM_ finalizeForeignPtr pointers
            others <- filter ((/= MainHeap) . fst) . statsHeaps <$> getStats
            sum (map (usagePages . snd) others) @?= 0
      , testCase "by itself, where a capability sleeps" $ do
          kept <- runOnCapability 0 $ replicateM 5000 (mi_malloc 100)
          before <- pages
          startDraining 20000
          startDraining 10000
          sleeping <- soon ((== 0) <$> pages)
          stopDraining
          stopDraining
          assertBool (show before ++ " pages stay") sleeping
          mapM_ mi_free kept
          invalid "startDraining" (startDraining 0)
      ]
  , testCase "in a forked process" $ child
      [("MIMALLOC_PURGE_DELAY", "20"), ("MIMALLOC_PURGE_THREAD", "1")] "forks" >>= (@?= (ExitSuccess, "", ""))
  , testCase "beyond the limit an exception, and on when there is room" $ do
      drainAll
      bracket_ (mi_option_set MiOptionCommitLimit 131072) (mi_option_set MiOptionCommitLimit 0) $
          with PressureOff $ do
        exhausted "mallocForeignPtrBytes" (mallocForeignPtrBytes 200000000 :: IO (ForeignPtr Word8))
        kept <- newIORef []
        full <- try (replicateM_ 200 (mallocForeignPtrBytes 1048576 >>= \fp -> modifyIORef' kept (fp :)))
        blocks <- readIORef kept
        assertBool (show (length blocks))
          (either isResourceExhausted (const False) full && length blocks > 60)
        mapM_ finalizeForeignPtr (take 20 blocks :: [ForeignPtr Word8])
        replicateM_ 10 (buffer 1048576)
        mapM_ finalizeForeignPtr blocks
  ]

-- On capability 0 it is interrupted, so that another thread that has begun it, too, is stopped half-way: it
-- asks for a collection just then.
givenUp :: Int -> Int
givenUp i = unsafeDupablePerformIO $ do
  (c, _) <- myThreadId >>= threadCapability
  _ <- evaluate (spin (if c == 0 then 20000 else 200000) i)
  if c == 0 then yield else replicateM_ 12 (buffer 1048576)
  pure i
{-# NOINLINE givenUp #-}

spin :: Int -> Int -> Int
spin n a = if n == 0 then a else spin (n - 1) (a * 3 + n)
{-# NOINLINE spin #-}

-- The child of a process in which only capabilities have allocated: memory comes back there, too, when nobody
-- calls anything.
children :: [(String, IO ())]
children = [("forks", do
  before <- replicateM 64 (mi_malloc 1048576)
  pid <- forkProcess $ do
    blocks <- replicateM 64 (mi_malloc 1048576)
    mapM_ mi_free (before ++ blocks)
    back <- soon ((< 8 * 1048576) . processInfoCurrentCommit <$> getProcessInfo)
    exitImmediately (if back then ExitSuccess else ExitFailure 1)
  status <- getProcessStatus True False pid
  unless (status == Just (Exited ExitSuccess)) exitFailure)]

highest :: IORef Int -> IO ()
highest most = pressureStats >>= \s -> atomicModifyIORef' most (\m -> (max m (pressureHeldBytes s), ()))

buffer :: Int -> IO ()
buffer n = mallocForeignPtrBytes n >>= \fp -> withForeignPtr fp (`poke` (1 :: Word8))

counters :: PressureStats -> [Int]
counters s = [pressureMinorCollections s, pressureMajorCollections s]

with :: Pressure -> IO a -> IO a
with p = bracket_ (setPressure p) (setPressure PressureAdaptive)

-- Of all heaps.
pages :: IO Int
pages = sum . map capabilityPages <$> capabilityStats

soon :: IO Bool -> IO Bool
soon happens = go (12000 :: Int)
  where go 0 = happens
        go n = happens >>= \yes -> if yes then pure True else threadDelay 10000 >> go (n - 1)

{-# LANGUAGE OverloadedStrings #-}
-- Whose label a block has: of the thread that allocated it, wherever that ran, and whatever befell it.
module Profile.Labels (tests, inUse, profiled) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import Foreign (Word8)
import Foreign.ForeignPtr (finalizeForeignPtr)
import System.Timeout (timeout)
import Test.Tasty
import Test.Tasty.HUnit

import Mimalloc
import Mimalloc.ByteString (mallocByteString)
import Mimalloc.Heap
import Mimalloc.Profile

tests :: TestTree
tests = testGroup "labels"
  [ testCase "they nest" nested
  , testCase "the label of a thread is there before the profile" before
  , testCase "however an action ends" ended
  , testCase "an exception from outside at any moment" struck
  , testCase "threads that move, sleep and take turns" moving
  , testCase "a thread that is forked has its own, or the same" forked
  , testCase "in another thread" elsewhere
  , testCase "each way to allocate" ways
  , testCase "names that would separate" separators
  ]

-- | Each block is a sample meanwhile. Capabilities that have blocks at hand first look for others.
profiled :: IO a -> IO a
profiled = bracket_ (startProfile 1 >> everywhere) stopProfile
  where
    everywhere = do
      n <- getNumCapabilities
      forM_ [0 .. n - 1] $ \i -> do
        done <- newEmptyMVar
        void $ forkOn i $ mallocForeignPtrBytes 100000 >>= finalizeForeignPtr >> putMVar done ()
        takeMVar done

-- | What lives under just these labels, in bytes and blocks: the frames behind are functions.
inUse :: [ByteString] -> Profile -> (Int, Int)
inUse labels profile = (inUseBytes all', inUseBlocks all')
  where all' = foldMap stackAmounts
          [ s | s <- profileStacks profile, take (length labels) (stackFrames s) == labels
              , take 1 (drop (length labels) (stackFrames s)) `notElem` map pure known ]
        known = ["in", "parse", "inner"]

names :: IO [ByteString]
names = allocationLabelNames <$> allocationLabels

nested :: Assertion
nested = profiled $ do
  (p, q, r) <- withAllocationLabel "requests" $ do
    p <- mallocForeignPtrBytes 1000
    q <- withAllocationLabel "parse" $ names >>= (@?= ["requests", "parse"]) >> mallocForeignPtrBytes 200
    (,,) p q <$> mallocForeignPtrBytes 30
  names >>= (@?= [])
  s <- mallocForeignPtrBytes 7
  profile <- getProfile
  inUse ["requests"] profile @?= (1030, 2)
  inUse ["requests", "parse"] profile @?= (200, 1)
  mapM_ finalizeForeignPtr [p, q, r, s]
  then' <- getProfile
  inUse ["requests"] then' @?= (0, 0)
  inUse ["requests", "parse"] then' @?= (0, 0)

before :: Assertion
before = withAllocationLabel "early" $ do
  p <- mallocForeignPtrBytes 100
  q <- profiled (mallocForeignPtrBytes 20)
  r <- mallocForeignPtrBytes 3
  profile <- getProfile
  inUse ["early"] profile @?= (20, 1)
  mapM_ finalizeForeignPtr [p, q, r]

ended :: Assertion
ended = withAllocationLabel "outer" $ do
  r <- try (withAllocationLabel "in" (throwIO (userError "it")))
  either (\e -> const () (e :: IOException)) id r @?= ()
  names >>= (@?= ["outer"])
  t <- timeout 1000 (withAllocationLabel "in" (forever (threadDelay 100)))
  t @?= (Nothing :: Maybe ())
  names >>= (@?= ["outer"])
  state <- withAllocationLabel "in" getMaskingState
  state @?= Unmasked
  mask_ (withAllocationLabel "in" getMaskingState) >>= (@?= MaskedInterruptible)

-- The label is as it was in whatever moment the exception came.
struck :: Assertion
struck = do
  wrong <- newIORef' (0 :: Int)
  forM_ [1 .. 300 :: Int] $ \i -> do
    ready <- newEmptyMVar
    done <- newEmptyMVar
    t <- mask $ \restore -> forkIO $ withAllocationLabel "victim" $ do
      putMVar ready ()
      r <- try (restore (forever (withAllocationLabel "a" (withAllocationLabel "b" (void names)))))
      ok <- (== ["victim"]) <$> names
      unless ok (modifyMVar_ wrong (pure . (+ 1)))
      putMVar done (either (\e -> const () (e :: AsyncException)) id r)
    takeMVar ready
    replicateM_ (i `mod` 7) yield
    killThread t
    takeMVar done
  readMVar wrong >>= (@?= 0)
  where newIORef' = newMVar

-- Each allocates under a label of its own, now here, now there, and sleeps within the label while others run.
moving :: Assertion
moving = profiled $ do
  n <- getNumCapabilities
  kept <- forM [0 .. threads - 1] $ \i -> do
    var <- newEmptyMVar
    let label = Char8.pack ("t" ++ show i)
        start = case i `mod` 3 of
          0 -> forkOn i
          1 -> forkIO
          _ -> if rtsSupportsBoundThreads then forkOS else forkIO
    void $ start $ do
      ps <- withAllocationLabel label $ forM [1 .. blocks] $ \k -> do
        p <- mallocForeignPtrBytes (i + 1)
        when (k `mod` 5 == i `mod` 5) yield
        when (k `mod` 20 == 0) (threadDelay 50)
        q <- withAllocationLabel "inner" (yield >> mallocForeignPtrBytes (2 * i + 1))
        pure [p, q]
      putMVar var (concat ps)
    pure var
  all' <- mapM takeMVar kept
  profile <- getProfile
  forM_ [0 .. threads - 1] $ \i -> do
    let label = Char8.pack ("t" ++ show i)
    assertEqual (show (label, n)) (blocks * (i + 1), blocks) (inUse [label] profile)
    assertEqual (show (label, n)) (blocks * (2 * i + 1), blocks) (inUse [label, "inner"] profile)
  mapM_ (mapM_ finalizeForeignPtr) all'
  where
    threads = 24
    blocks = 60

forked :: Assertion
forked = do
  done <- newEmptyMVar
  withAllocationLabel "parent" $ do
    void $ forkIO (names >>= putMVar done)
    takeMVar done >>= (@?= [])
    t <- forkLabelled (names >>= putMVar done)
    takeMVar done >>= (@?= ["parent"])
    killThread t
    names >>= (@?= ["parent"])
  -- A child that goes on when its parent has left.
  go <- newEmptyMVar
  void $ withAllocationLabel "parent" (forkLabelled (takeMVar go >> names >>= putMVar done))
  putMVar go ()
  takeMVar done >>= (@?= ["parent"])

elsewhere :: Assertion
elsewhere = do
  labels <- withAllocationLabel "a" (withAllocationLabel "b" allocationLabels)
  withAllocationLabel "c" $ do
    withAllocationLabels labels (names >>= (@?= ["a", "b"]))
    names >>= (@?= ["c"])
  none <- allocationLabels
  withAllocationLabel "c" (withAllocationLabels none names) >>= (@?= [])

-- Small ones by C--, large ones, cleared ones in a safe call, those of heaps, byte strings, resized ones.
ways :: Assertion
ways = profiled $ do
  heap <- newHeap
  let pointers :: [(ByteString, Int, IO (ForeignPtr Word8))]
      pointers =
        [ ("small", 24, mallocForeignPtrBytes 24)
        , ("large", 100000, mallocForeignPtrBytes 100000)
        , ("cleared", 300, zallocForeignPtrBytes 300)
        , ("cleared, large", 3000000, zallocForeignPtrBytes 3000000)
        , ("aligned", 512, mallocForeignPtrAlignedBytes 512 256)
        , ("heap", 40, heapMallocForeignPtrBytes heap 40)
        , ("heap, cleared", 3000000, heapZallocForeignPtrBytes heap 3000000)
        ]
  forM_ pointers $ \(label, n, make) -> do
    p <- withAllocationLabel label make
    profile <- getProfile
    assertEqual (Char8.unpack label) (n, 1) (inUse [label] profile)
    withForeignPtr p (const (pure ()))
    finalizeForeignPtr p
  bs <- withAllocationLabel "bytes" (mallocByteString 5000)
  inUse ["bytes"] <$> getProfile >>= (@?= (5000, 1))
  ByteString.length bs @?= 5000
  withAllocationLabel "bracket" $ withMallocBytes 333 $ \_ ->
    inUse ["bracket"] <$> getProfile >>= (@?= (333, 1))
  p <- withAllocationLabel "raw" (mi_malloc 50)
  q <- withAllocationLabel "grown" (mi_rezalloc p 4000000)
  inUse ["grown"] <$> getProfile >>= (@?= (4000000, 1))
  mi_free q
  r <- withAllocationLabel "calloc" (mi_zalloc 2000000)
  inUse ["calloc"] <$> getProfile >>= (@?= (2000000, 1))
  mi_free r

separators :: Assertion
separators = do
  withAllocationLabel "a;b\nc" names >>= (@?= ["a_b_c"])
  withAllocationLabel "" names >>= (@?= [])
  withAllocationLabel "x" (withAllocationLabel (ByteString.replicate 5000 65) names) >>= (@?= ["x"])
  withAllocationLabel "\xc3\xa9" names >>= (@?= ["\xc3\xa9"])

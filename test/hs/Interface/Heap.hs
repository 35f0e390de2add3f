{-# LANGUAGE MagicHash #-}
{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE TypeApplications #-}
-- Heaps of one's own: blocks from them, how they end, what lives on, and failures.
module Interface.Heap (tests) where

import Control.Concurrent
import Control.Concurrent.Async (forConcurrently, forConcurrently_)
import Control.Exception
import Control.Monad
import qualified Data.ByteString as B
import Data.IORef
import Data.Version (makeVersion)
import Data.Word (Word8)
import Foreign.C.Types (CInt)
import Foreign.ForeignPtr hiding (mallocForeignPtr, mallocForeignPtrArray, mallocForeignPtrBytes)
import Foreign.ForeignPtr.Unsafe (unsafeForeignPtrToPtr)
import Foreign.Marshal.Alloc (alloca)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr
import Foreign.Storable
import GHC.Compact (compact)
import GHC.Exts (isTrue#, sameMutableByteArray#)
import GHC.ForeignPtr (ForeignPtr (..), ForeignPtrContents (..))
import System.IO.Error (isIllegalOperation)
import System.Mem (performGC, performMajorGC)
import System.Info (compilerVersion)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck (choose, forAll, ioProperty, listOf, testProperty, vector, (===))

import Api.Support
import Mimalloc
import Mimalloc.ByteString (heapZallocByteString, mallocByteString)
import qualified Mimalloc.ByteString as M
import Mimalloc.Capability
import Mimalloc.Heap
import qualified Mimalloc.Stats as Stats

tests :: TestTree
tests = testGroup "heap"
  [ testGroup "contents" [ testGroup kind (map (contents with) ways) | (kind, Kind with) <- kinds ]
  , testGroup "failures" failures
  , testGroup "withHeap" deleted
  , testGroup "withHeapEx, to be destroyed" destroyed
  , testGroup "newHeap" collected
  , testGroup "heapCopy" copies
  , testGroup "questions" questions
  , testGroup "from everywhere" shared
  , testGroup "asynchronous exceptions" async_
  ]

newtype Kind = Kind (forall a. (forall s. Heap s -> IO a) -> IO a)

kinds :: [(String, Kind)]
kinds =
  [ ("withHeap", Kind withHeap)
  , ("withHeapInArena", Kind (withHeapInArena 0))
  , ("withHeapEx False", Kind (withHeapEx 3 False 0))
  , ("withHeapEx True", Kind (withHeapEx 4 True 0))
  , ("newHeap", Kind (\k -> newHeap >>= \h -> k h))
  , ("newHeapInArena", Kind (\k -> newHeapInArena 0 >>= \h -> k h))
  ]

data Fill = Whatever | Zeros deriving Eq

-- Its function, what it promises (contents, bytes, alignment), and how to look at it.
data Way = Way String Fill Int Int (forall s. Heap s -> (Ptr Word8 -> IO ()) -> IO ())

ways :: [Way]
ways =
  [ Way "heapMallocForeignPtr"             Whatever 8   16   (\h -> foreign_ (heapMallocForeignPtr @Int h))
  , Way "heapMallocForeignPtr @Line"       Whatever 64  64   (\h -> foreign_ (heapMallocForeignPtr @Line h))
  , Way "heapMallocForeignPtrBytes"        Whatever 333 16   (\h ->
      foreign_ (heapMallocForeignPtrBytes h 333))
  , Way "heapMallocForeignPtrBytes, none"  Whatever 0   16   (\h -> foreign_ (heapMallocForeignPtrBytes h 0))
  , Way "heapMallocForeignPtrBytes, large" Whatever 300000 16 (\h ->
      foreign_ (heapMallocForeignPtrBytes h 300000))
  , Way "heapMallocForeignPtrArray"        Whatever 800 16   (\h ->
      foreign_ (heapMallocForeignPtrArray @Int h 100))
  , Way "heapMallocForeignPtrArray @Line"  Whatever 640 64   (\h ->
      foreign_ (heapMallocForeignPtrArray @Line h 10))
  , Way "heapMallocForeignPtrAligned"      Whatever 8   4096 (\h ->
      foreign_ (heapMallocForeignPtrAligned @Int h 4096))
  , Way "heapMallocForeignPtrAlignedBytes" Whatever 333 512  (\h ->
      foreign_ (heapMallocForeignPtrAlignedBytes h 333 512))
  , Way "heapCallocForeignPtr"             Zeros    8   16   (\h -> foreign_ (heapCallocForeignPtr @Int h))
  , Way "heapCallocForeignPtrArray @Line"  Zeros    640 64   (\h ->
      foreign_ (heapCallocForeignPtrArray @Line h 10))
  , Way "heapZallocForeignPtrBytes"        Zeros    333 16   (\h ->
      foreign_ (heapZallocForeignPtrBytes h 333))
  , Way "heapZallocForeignPtrBytes, large" Zeros    2000000 16 (\h ->
      foreign_ (heapZallocForeignPtrBytes h 2000000))
  , Way "withHeapMalloc"                   Whatever 8   16   (\h k -> withHeapMalloc h (k . castPtr @Int))
  , Way "withHeapMallocBytes"              Whatever 333 16   withHeapMallocBytes333
  , Way "withHeapMallocArray"              Whatever 800 16   (\h k ->
      withHeapMallocArray h 100 (k . castPtr @Int))
  , Way "withHeapMallocAligned"            Whatever 8   256  (\h k ->
      withHeapMallocAligned h 256 (k . castPtr @Int))
  , Way "withHeapMallocAlignedBytes"       Whatever 333 65536 (\h -> withHeapMallocAlignedBytes h 333 65536)
  , Way "withHeapCalloc @Line"             Zeros    64  64   (\h k -> withHeapCalloc h (k . castPtr @Line))
  , Way "withHeapCallocArray"              Zeros    800 16   (\h k ->
      withHeapCallocArray h 100 (k . castPtr @Int))
  , Way "withHeapCallocArray, large"       Zeros    1600000 64 (\h k ->
      withHeapCallocArray h 25000 (k . castPtr @Line))
  , Way "withHeapZallocBytes"              Zeros    333 16   (`withHeapZallocBytes` 333)
  ]
  where
    withHeapMallocBytes333 :: Heap s -> (Ptr Word8 -> IO ()) -> IO ()
    withHeapMallocBytes333 h = withHeapMallocBytes h 333
    foreign_ :: IO (ForeignPtr a) -> (Ptr Word8 -> IO ()) -> IO ()
    foreign_ new k = new >>= \fp -> withForeignPtr fp (k . castPtr)

contents :: (forall a. (forall s. Heap s -> IO a) -> IO a) -> Way -> TestTree
contents kind (Way name fill n align with) = testCase name $
    kind $ \heap -> replicateM_ 10 $ with heap $ \p -> do
  assertBool "a null pointer" (p /= nullPtr)
  assertBool ("not aligned to " ++ show align) (isAligned align p)
  usable <- usableSize p
  assertBool ("only " ++ show usable ++ " usable bytes") (usable >= n)
  heapContainsBlock heap p >>= assertBool "not in the heap"
  heapCheckOwned heap p >>= assertBool "not in a page of the heap"
  when (fill == Zeros) $ allBytes 0 n p >>= assertBool "bytes that are not 0"
  fillBytes p 0xA5 n

failures :: [TestTree]
failures =
  [ testCase "a negative size" $ withHeap $ \h -> do
      invalid "heapMallocForeignPtrBytes" (heapMallocForeignPtrBytes h (-1))
      invalid "heapMallocForeignPtrArray" (heapMallocForeignPtrArray @Int h (-1))
      invalid "heapCallocForeignPtrArray" (heapCallocForeignPtrArray @Int h minBound)
      invalid "heapZallocForeignPtrBytes" (heapZallocForeignPtrBytes h (-5))
      invalid "withHeapMallocBytes" (withHeapMallocBytes h (-1) pure)
      invalid "withHeapMallocArray" (withHeapMallocArray @Int h (-1) pure)
      invalid "withHeapZallocBytes" (withHeapZallocBytes h (-1) pure)
  , testCase "a size that overflows" $ withHeap $ \h -> do
      invalid "heapMallocForeignPtrArray" (heapMallocForeignPtrArray @Int h (maxBound `quot` 8 + 1))
      invalid "withHeapCallocArray" (withHeapCallocArray @Line h (2 ^ (58 :: Int) + 1) pure)
  , testCase "a bad alignment" $ withHeap $ \h -> forM_ [24, 4097, maxBound] $ \a -> do
      invalid "heapMallocForeignPtrAligned" (heapMallocForeignPtrAligned @Int h a)
      invalid "heapMallocForeignPtrAlignedBytes" (heapMallocForeignPtrAlignedBytes h 8 a)
      invalid "heapMallocForeignPtrAlignedBytes" (heapMallocForeignPtrAlignedBytes h 8 (-a))
      invalid "withHeapMallocAlignedBytes" (withHeapMallocAlignedBytes h 8 0 pure)
      invalid "heapMallocForeignPtr" (heapMallocForeignPtr @Crooked h)
  , testCase "more memory than there is" $ withHeap $ \h -> do
      exhausted "heapMallocForeignPtrBytes" (heapMallocForeignPtrBytes h maxBound)
      exhausted "heapZallocForeignPtrBytes" (heapZallocForeignPtrBytes h (2 ^ (60 :: Int)))
      exhausted "withHeapMallocAlignedBytes" (withHeapMallocAlignedBytes h maxBound 64 pure)
  , testCase "no such arena" $ do
      invalid "withHeapInArena" (withHeapInArena 999 (const (pure ())))
      invalid "withHeapEx" (withHeapEx 0 True (-1) (const (pure ())))
      invalid "withHeapEx" (withHeapEx 0 False 999 (const (pure ())))
      invalid "newHeapInArena" (newHeapInArena 999)
  , testCase "a heap that has ended" $ do
      -- A thread that outlives the bracket.
      late <- forM [(Kind with, k) | Kind with <- [Kind withHeap, Kind (withHeapEx 0 True 0)]
                   , k <- [0, 1 :: Int]] $ \(Kind with, which) -> do
        go <- newEmptyMVar
        result <- newEmptyMVar
        with $ \h -> void $ forkIO $ takeMVar go
          >> try (if even which then void (heapMallocForeignPtrBytes h 10)
                    else void (M.heapCopy h (B.pack [1])))
          >>= putMVar result
        putMVar go ()
        takeMVar result
      forM_ late $
        either (assertBool "another exception" . isIllegalOperation) (const (assertFailure "no exception"))
  ]

deleted :: [TestTree]
deleted =
  [ testCase "the result is the action's, the exception too" $ do
      withHeap (const (pure 'x')) >>= (@?= 'x')
      try (withHeap (const (throwIO Overflow))) >>= (@?= (Left Overflow :: Either ArithException ()))
  , testCase "the action is masked as the caller is" $ do
      withHeap (const getMaskingState) >>= (@?= Unmasked)
      mask_ (withHeap (const getMaskingState)) >>= (@?= MaskedInterruptible)
      withHeapEx 0 True 0 (const getMaskingState) >>= (@?= Unmasked)
  , testCase "pointers that escape stay valid" $ do
      fps <- withHeap $ \h -> forM [0 .. 255] $ \i -> filled i 1000 (heapMallocForeignPtrBytes h 1000)
      churn 1000
      forM_ (zip fps [0 ..]) $ \(fp, i) -> withForeignPtr fp (allBytes i 1000) >>= assertBool "overwritten"
  , testCase "and are freed one by one" $ do
      before <- liveBlocks
      kept <- withHeap $ \h -> do
        fps <- replicateM 1000 (heapMallocForeignPtrBytes h 200)
        mapM_ finalizeForeignPtr (drop 1 fps)
        pure (take 1 fps)
      during <- liveBlocks
      assertBool ("blocks before: " ++ show before ++ ", with one: " ++ show during) (during < before + 50)
      mapM_ finalizeForeignPtr kept
  , testCase "the garbage collector frees those nobody holds" $ do
      before <- liveBlocks
      withHeap $ \h -> forM_ [1 .. 5000] $ \i ->
        heapMallocForeignPtrBytes h (i `mod` 500) >>= \fp -> withForeignPtr fp (`poke` 1)
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  , testCase "heaps leave nothing behind" $ do
      n <- heapsNow
      replicateM_ 1000 (withHeap $ \h -> withHeapMallocBytes h 100 (`poke` 1))
      replicateM_ 1000 (try @ArithException (withHeap $ \h ->
        withHeapMallocBytes h 100 (const (throwIO Overflow))))
      heapsNow >>= \m -> assertBool (show (n, m)) (m <= n)
  ]

destroyed :: [TestTree]
destroyed =
  [ testCase "without foreign pointers it ends with the bracket" $ do
      before <- liveBlocks
      withHeapEx 0 True 0 $ \h -> do
        withHeapMallocBytes h 100 (`poke` 1)
        withHeapCallocArray h 1000 (\(p :: Ptr Int) -> peek p) >>= (@?= 0)
      after <- fst <$> Stats.liveBlocks
      assertBool (show (before, after)) (after <= before + 10)
  , testCase "with them when the last one is gone" $ do
      before <- liveBlocks
      fps <- withHeapEx 0 True 0 $ \h -> forM [0 .. 255] $ \i ->
        filled i 1000 (heapMallocForeignPtrBytes h 1000)
      churn 1000
      forM_ (zip fps [0 ..]) $ \(fp, i) -> withForeignPtr fp (allBytes i 1000) >>= assertBool "overwritten"
      holds "the heap is gone" $ (< before + 50) <$> liveBlocks
  , testCase "one that escapes holds the others" $ do
      (fp, p) <- withHeapEx 0 True 0 $ \h -> do
        a <- filled 1 100 (heapMallocForeignPtrBytes h 100)
        b <- filled 2 100 (heapMallocForeignPtrBytes h 100)
        pure (a, unsafeForeignPtrToPtr b)
      replicateM_ 3 performMajorGC
      allBytes 2 100 p >>= assertBool "gone"
      withForeignPtr fp (allBytes 1 100) >>= assertBool "gone"
  ]

collected :: [TestTree]
collected =
  [ testCase "lives as long as a pointer into it" $ do
      before <- liveBlocks
      fps <- do
        h <- newHeap
        forM [0 .. 255] $ \i -> filled i 1000 (heapMallocForeignPtrBytes h 1000)
      churn 1000
      let inner = map (`plusForeignPtr` 500) fps
      churn 1000
      forM_ (zip inner [0 ..]) $ \(fp, i) -> withForeignPtr fp (allBytes i 500) >>= assertBool "overwritten"
      holds "the heap is gone" $ (< before + 50) <$> liveBlocks
  , testCase "and as long as the heap" $ do
      before <- liveBlocks
      h <- newHeap
      replicateM_ 1000 (filled 1 100 (heapMallocForeignPtrBytes h 100))
      replicateM_ 3 performMajorGC
      during <- liveBlocks
      assertBool (show (before, during)) (during >= before + 1000)
      withHeapMallocBytes h 10 (`poke` 1)
      holds "the heap is gone" $ (< before + 50) <$> liveBlocks
  , testCase "in a bracket, too" $ do
      h <- newHeap
      r <- withHeapMallocBytes h 1000 $ \p -> do
        fillBytes p 9 1000
        replicateM_ 3 performMajorGC
        churn 100
        allBytes 9 1000 p
      assertBool "overwritten" r
  , testCase "many heaps" $ do
      before <- liveBlocks
      n <- heapsNow
      replicateM_ 2000 $ newHeap >>= \h -> replicateM_ 10 (filled 1 50 (heapMallocForeignPtrBytes h 50))
      holds "the heaps are gone" $ (< before + 50) <$> liveBlocks
      holds "the heaps are gone" $ (<= n) <$> heapsNow
  , testCase "finalizeForeignPtr leaves the block alone" $ do
      h <- newHeap
      fp <- filled 5 100 (heapMallocForeignPtrBytes h 100)
      other <- filled 6 100 (heapMallocForeignPtrBytes h 100)
      finalizeForeignPtr fp
      churn 100
      withForeignPtr fp (allBytes 5 100) >>= assertBool "freed"
      withForeignPtr other (allBytes 6 100) >>= assertBool "freed"
  , testCase "a compact region takes no pointer into it" $ do
      -- It would hold a copy of what holds the heap.
      h <- newHeap
      s <- heapZallocByteString h 100
      try (compact s) >>= either (\(CompactionFailed _) -> pure ()) (const (assertFailure "no exception"))
      t <- mallocByteString 100
      try (compact t) >>= either (\(CompactionFailed _) -> pure ()) (const (assertFailure "no exception"))
  , testCase "thousands of blocks cost one weak pointer" $ do
      -- None has finalizers of its own: all hold one array, and that has the weak pointer.
      h <- newHeap
      fps <- replicateM 20000 (heapMallocForeignPtrBytes h 16)
      assertBool "an array of its own" (and (zipWith sameArray fps (drop 1 fps)))
  ]

copies :: [TestTree]
copies =
  [ testProperty kind $ forAll (listOf (choose (0, 3000) >>= \n -> B.pack <$> vector n)) $ \ss ->
        ioProperty $ with $ \h ->
      (=== ss) <$> mapM (M.heapCopy h) ss
  | (kind, Kind with) <- kinds ] ++
  [ testCase "packed" $ do
      collectAll
      (blocks, bytes) <- Stats.liveBlocks
      h <- newHeap
      ss <- mapM (M.heapCopy h . number) [0 .. 19999]
      (blocks', bytes') <- Stats.liveBlocks
      -- of 400000 bytes
      assertBool (show (blocks' - blocks, bytes' - bytes)) (blocks' < blocks + 200 && bytes' < bytes + 500000)
      forM_ (zip ss [0 ..]) $ \(s, i) -> s @?= number i
      M.unsafeUseAsByteString (last ss) (\p _ -> heapCheckOwned h p) >>= (@?= True)
  , testCase "one holds the others" $ do
      before <- liveBlocks
      s <- newHeap >>= \h -> last <$> mapM (M.heapCopy h . number) [0 .. 999]
      replicateM_ 3 performMajorGC
      churn 1000
      s @?= number 999
      holds "the heap is gone" $ (< before + 50) <$> liveBlocks
  , testCase "beside other blocks" $ do
      h <- newHeap
      both <- forM [0 .. 999] $ \i ->
        (,) <$> M.heapCopy h (number i) <*> filled (fromIntegral i) 40 (heapMallocForeignPtrBytes h 40)
      forM_ (zip both [0 ..]) $ \((s, fp), i) -> (s @?= number i)
        >> withForeignPtr fp (allBytes (fromIntegral i) 40) >>= assertBool "overwritten"
  , testCase "on all capabilities, of which some come and go" $ when rtsSupportsBoundThreads $ do
      n <- getNumCapabilities
      h <- newHeap
      made <- forM [n, n + 3, 2, n] $ \caps -> do
        setNumCapabilities caps
        forConcurrently [0 .. 20] $ \c -> runOnCapability (c `mod` caps) $
          forM [0 .. 1500] $ \i -> M.heapCopy h (B.replicate (i `mod` 1200) (fromIntegral c))
      forM_ made $ \round' -> forM_ (zip round' [0 ..]) $ \(ss, c) ->
        forM_ (zip ss [0 ..]) $ \(s, i) -> s @?= B.replicate (i `mod` 1200) (fromIntegral (c :: Int))
  ]
  ++
  [ testCase "none lies across the end of a piece" $ do
      h <- newHeap
      forM_ (take 3000 (cycle [1, 1024, 700, 1023, 324, 8, 1])) $ \n -> do
        s <- M.heapCopy h (B.replicate n 1)
        M.unsafeUseAsByteString s $ \p _ ->
          address p `div` 8192 @?= (address p + fromIntegral n - 1) `div` 8192
  , testCase "on more capabilities than have a piece, and than have heaps of their own" $
        when rtsSupportsBoundThreads $ do
      n <- getNumCapabilities
      h <- newHeap
      -- GHC 9.6 and later have no room for more
      let most = if compilerVersion < makeVersion [9, 6] then 260 else 256
          some = [0, 127, 128, 255] ++ filter (< most) [256, 259]
      setNumCapabilities most
      made <- forM some $ \c -> runOnCapability c $
        forM [0 .. 500] $ \i -> M.heapCopy h (number (1000 * c + i))
      setNumCapabilities n
      concat made @?= [number (1000 * c + i) | c <- some, i <- [0 .. 500]]
  ]
  where number i = B.pack (take 20 (cycle (map (fromIntegral . fromEnum) (show (i :: Int) ++ "."))))

questions :: [TestTree]
questions =
  [ testCase "blocks of others" $
        withHeap $ \a -> withHeap $ \b -> withHeapMallocBytes a 100 $ \p -> withMallocBytes 100 $ \q -> do
      heapContainsBlock a p >>= (@?= True)
      heapContainsBlock b p >>= (@?= False)
      heapContainsBlock a q >>= (@?= False)
      heapCheckOwned b p >>= (@?= False)
      heapContainsBlock a (p `plusPtr` 16) >>= (@?= False)
      heapCheckOwned a (p `plusPtr` 16) >>= (@?= True)
      heapContainsBlock a nullPtr >>= (@?= False)
      alloca $ \(r :: Ptr Int) -> heapContainsBlock a r >>= (@?= False)
  , testCase "a freed block is in no heap" $ withHeap $ \h -> do
      p <- withHeapMallocBytes h 100 pure
      heapContainsBlock h p >>= (@?= False)
  , testCase "heapCollect" $ withHeap $ \h -> do
      replicateM_ 100 (withHeapMallocBytes h 100 (`poke` 1))
      heapCollect h False >> heapCollect h True
  , testCase "an arena of its own" $ alloca $ \(q :: Ptr CInt) -> do
      mi_reserve_os_memory_ex (32 * 1048576) 0 0 1 q >>= (@?= 0)
      arena <- peek q
      withHeapInArena arena $ \h -> do
        fps <- forM [1 .. 100] $ \i -> filled i 10000 (heapMallocForeignPtrBytes h 10000)
        length fps @?= 100
        exhausted "heapMallocForeignPtrBytes" (heapMallocForeignPtrBytes h (64 * 1048576))
  , testProperty "blocks keep what is written to them" $
        forAll (listOf (choose (0, 20000))) $ \ns -> ioProperty $ do
      h <- newHeap
      ps <- forM (zip ns [0 ..]) $ \(n, i) -> filled i n (heapMallocForeignPtrBytes h n)
      fmap and . forM (zip3 ns [0 ..] ps) $ \(n, i, fp) -> withForeignPtr fp (allBytes i n)
  ]

shared :: [TestTree]
shared =
  [ testCase ("one heap on all capabilities, " ++ kind) $ with $ \h -> do
      n <- getNumCapabilities
      fps <- forConcurrently [0 .. 4 * n - 1] $ \c -> runOnCapability (c `mod` n) $ forM [1 .. 300] $ \i ->
        filled (fromIntegral c) (i * 7) (heapMallocForeignPtrBytes h (i * 7))
      forM_ (zip fps [0 ..]) $ \(ps, c) -> forM_ (zip ps [1 ..]) $ \(fp, i) ->
        withForeignPtr fp (allBytes c (i * 7)) >>= assertBool "overwritten"
  | (kind, Kind with) <- [ ("deleted", Kind withHeap), ("destroyed", Kind (withHeapEx 0 True 0))
                         , ("collected", Kind (\act -> newHeap >>= act))] ] ++
  [ testCase "more capabilities than the heap has seen" $ when rtsSupportsBoundThreads $ do
      n <- getNumCapabilities
      h <- newHeap
      fps <- forM [1, n + 3, 2, n] $ \caps -> do
        setNumCapabilities caps
        forConcurrently [0 .. 20] $ \i -> runOnCapability (i `mod` caps) $
          replicateM 100 (filled (fromIntegral i) 40 (heapMallocForeignPtrBytes h 40))
      forM_ (concat [zip round' [0 ..] | round' <- fps]) $ \(ps, i) ->
        forM_ ps $ \fp -> withForeignPtr fp (allBytes i 40) >>= assertBool "overwritten"
  , testCase "and in bound threads" $ when rtsSupportsBoundThreads $
        withHeap $ \h -> forConcurrently_ [1 .. 8 :: Int] $ \i -> do
      done <- newEmptyMVar
      _ <- forkOS $ replicateM 100 (withHeapZallocBytes h (i * 300000) (allBytes 0 10)) >>= putMVar done . and
      takeMVar done >>= assertBool "not zeros"
  , testCase "made, shared and ended by many threads at once" $ do
      n <- heapsNow
      forConcurrently_ [1 .. 32 :: Int] $ \i -> forM_ [1 .. 30 :: Int] $ \j -> do
        fps <-
          if even (i + j)
            then withHeap $ \h ->
              forConcurrently [1 .. 4] $ \k -> filled k 100 (heapMallocForeignPtrBytes h 100)
            else newHeap >>= \h ->
              forConcurrently [1 .. 4] $ \k -> filled k 100 (heapMallocForeignPtrBytes h 100)
        forM_ (zip fps [1 ..]) $ \(fp, k) -> withForeignPtr fp (allBytes k 100) >>= assertBool "overwritten"
      holds "the heaps are gone" $ (<= n) <$> heapsNow
  ]

async_ :: [TestTree]
async_ =
  [ struck "withHeap" (withHeap $ \h -> withHeapMallocBytes h 100 (`poke` 1))
  , struck "withHeap, foreign pointers" (withHeap $ \h ->
      heapMallocForeignPtrBytes h 100 >>= \fp -> withForeignPtr fp (`poke` 1))
  , struck "withHeapEx True" (withHeapEx 0 True 0 $ \h -> withHeapMallocBytes h 100 (`poke` 1))
  , struck "newHeap" (newHeap >>= \h ->
      heapMallocForeignPtrBytes h 100 >>= \fp -> withForeignPtr fp (`poke` 1))
  , testCase "no heap is left of them" $ holds "the heaps are gone" $ (<= 2) <$> heapsNow
  ]

sameArray :: ForeignPtr a -> ForeignPtr a -> Bool
sameArray (ForeignPtr _ (PlainPtr a)) (ForeignPtr _ (PlainPtr b)) = isTrue# (sameMutableByteArray# a b)
sameArray _ _ = False

-- Heaps with a page.
heapsNow :: IO Int
heapsNow = collectAll >> length . Stats.statsHeaps <$> Stats.getStats

filled :: Word8 -> Int -> IO (ForeignPtr Word8) -> IO (ForeignPtr Word8)
filled i n new = do
  fp <- new
  withForeignPtr fp $ \p -> fillBytes p i n
  pure fp

-- What would overwrite blocks that were freed too early.
churn :: Int -> IO ()
churn n = do
  replicateM_ 3 performGC
  ref <- newIORef (0 :: Int)
  h <- newHeap
  replicateM_ n $ do
    _ <- filled 0xFF 1000 (mallocForeignPtrBytes 1000)
    _ <- filled 0xFE 1000 (heapMallocForeignPtrBytes h 1000)
    modifyIORef' ref (+ 1)

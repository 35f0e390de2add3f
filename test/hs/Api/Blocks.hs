{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE TypeApplications #-}
-- The brackets and the foreign pointers of Mimalloc: sizes, alignments, contents, failures.
module Api.Blocks (tests) where

import Control.Exception
import Control.Monad
import Data.IORef
import Data.Word (Word8, Word16)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr
import Foreign.Storable
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck

import Api.Support
import Mimalloc

tests :: TestTree
tests = testGroup "blocks"
  [ testGroup "contents" (map contents ways)
  , testGroup "failures" failures
  , testGroup "sizes" sizes
  , testGroup "brackets" brackets
  ]

data Fill = Whatever | Zeros deriving Eq

-- A way to a block: its function, what it promises (contents, bytes, alignment), and how to look at it.
data Way = Way String Fill Int Int ((Ptr Word8 -> IO ()) -> IO ())

ways :: [Way]
ways =
  [ Way "mallocForeignPtr"             Whatever 8   16   (foreign_ (mallocForeignPtr @Int))
  , Way "mallocForeignPtr @Line"       Whatever 64  64   (foreign_ (mallocForeignPtr @Line))
  , Way "mallocForeignPtr @Empty"      Whatever 0   16   (foreign_ (mallocForeignPtr @Empty))
  , Way "mallocForeignPtrBytes"        Whatever 333 16   (foreign_ (mallocForeignPtrBytes 333))
  , Way "mallocForeignPtrArray"        Whatever 800 16   (foreign_ (mallocForeignPtrArray @Int 100))
  , Way "mallocForeignPtrArray @Line"  Whatever 640 64   (foreign_ (mallocForeignPtrArray @Line 10))
  , Way "mallocForeignPtrAligned"      Whatever 8   4096 (foreign_ (mallocForeignPtrAligned @Int 4096))
  , Way "mallocForeignPtrAligned, less than the type"
      Whatever 64 64 (foreign_ (mallocForeignPtrAligned @Line 8))
  , Way "mallocForeignPtrAlignedBytes" Whatever 333 512  (foreign_ (mallocForeignPtrAlignedBytes 333 512))
  , Way "mallocForeignPtrAlignedBytes 1" Whatever 5 16   (foreign_ (mallocForeignPtrAlignedBytes 5 1))
  , Way "callocForeignPtr"             Zeros    8   16   (foreign_ (callocForeignPtr @Int))
  , Way "callocForeignPtr @Line"       Zeros    64  64   (foreign_ (callocForeignPtr @Line))
  , Way "callocForeignPtrArray"        Zeros    800 16   (foreign_ (callocForeignPtrArray @Int 100))
  , Way "callocForeignPtrArray @Line"  Zeros    640 64   (foreign_ (callocForeignPtrArray @Line 10))
  , Way "zallocForeignPtrBytes"        Zeros    333 16   (foreign_ (zallocForeignPtrBytes 333))
  , Way "zallocForeignPtrBytes, large" Zeros    2000000 16 (foreign_ (zallocForeignPtrBytes 2000000))
  , Way "withMalloc"                   Whatever 8   16   (\k -> withMalloc (k . castPtr @Int))
  , Way "withMalloc @Line"             Whatever 64  64   (\k -> withMalloc (k . castPtr @Line))
  , Way "withMallocBytes"              Whatever 333 16   (withMallocBytes 333)
  , Way "withMallocBytes 0"            Whatever 0   16   (withMallocBytes 0)
  , Way "withMallocArray"              Whatever 800 16   (\k -> withMallocArray 100 (k . castPtr @Int))
  , Way "withMallocAligned"            Whatever 8   256  (\k -> withMallocAligned 256 (k . castPtr @Int))
  , Way "withMallocAlignedBytes"       Whatever 333 65536 (withMallocAlignedBytes 333 65536)
  , Way "withCalloc"                   Zeros    8   16   (\k -> withCalloc (k . castPtr @Int))
  , Way "withCalloc @Line"             Zeros    64  64   (\k -> withCalloc (k . castPtr @Line))
  , Way "withCallocArray"              Zeros    800 16   (\k -> withCallocArray 100 (k . castPtr @Int))
  , Way "withCallocArray, large"       Zeros    1600000 64 (\k -> withCallocArray 25000 (k . castPtr @Line))
  , Way "withZallocBytes"              Zeros    333 16   (withZallocBytes 333)
  , Way "withZallocBytes, large"       Zeros    3000000 16 (withZallocBytes 3000000)
  ]
  where
    foreign_ :: IO (ForeignPtr a) -> (Ptr Word8 -> IO ()) -> IO ()
    foreign_ new k = new >>= \fp -> withForeignPtr fp (k . castPtr)

-- Blocks are left dirty, so that the next one of this size shows whether it was cleared.
contents :: Way -> TestTree
contents (Way name fill n align with) = testCase name $ do
  dirty
  replicateM_ 20 $ with $ \p -> do
    assertBool "a null pointer" (p /= nullPtr)
    assertBool ("not aligned to " ++ show align) (isAligned align p)
    usable <- usableSize p
    assertBool ("only " ++ show usable ++ " usable bytes") (usable >= n)
    when (fill == Zeros) $ allBytes 0 n p >>= assertBool "bytes that are not 0"
    fillBytes p 0xA5 n
  where
    dirty = do
      ps <- replicateM 20 (mi_malloc (fromIntegral n))
      forM_ ps $ \p -> fillBytes p 0xA5 n
      mapM_ mi_free ps

failures :: [TestTree]
failures =
  [ testCase "a negative size" $ do
      invalid "mallocForeignPtrBytes" (mallocForeignPtrBytes (-1))
      invalid "zallocForeignPtrBytes" (zallocForeignPtrBytes minBound)
      invalid "mallocForeignPtrArray" (mallocForeignPtrArray @Int (-1))
      invalid "callocForeignPtrArray" (callocForeignPtrArray @Int (-7))
      invalid "mallocForeignPtrAlignedBytes" (mallocForeignPtrAlignedBytes (-1) 64)
      invalid "withMallocBytes" (withMallocBytes (-1) pure)
      invalid "withMallocArray" (withMallocArray @Int (-1) pure)
      invalid "withMallocAlignedBytes" (withMallocAlignedBytes (-1) 16 pure)
      invalid "withCallocArray" (withCallocArray @Word8 minBound pure)
      invalid "withZallocBytes" (withZallocBytes (-1) pure)
  , testCase "a size that overflows" $ do
      invalid "mallocForeignPtrArray" (mallocForeignPtrArray @Int (maxBound `quot` 8 + 1))
      invalid "mallocForeignPtrArray" (mallocForeignPtrArray @Word16 maxBound)
      invalid "callocForeignPtrArray" (callocForeignPtrArray @Line (maxBound `quot` 32))
      invalid "withMallocArray" (withMallocArray @Int (2 ^ (61 :: Int)) pure) -- 2^64 bytes: wraps to 0
      invalid "withCallocArray" (withCallocArray @Line (2 ^ (58 :: Int) + 1) pure) -- wraps to 64
  , testCase "a bad alignment" $ forM_ [0, -1, -16, minBound, 3, 24, 4097, maxBound] $ \a -> do
      invalid "mallocForeignPtrAlignedBytes" (mallocForeignPtrAlignedBytes 8 a)
      invalid "withMallocAlignedBytes" (withMallocAlignedBytes 8 a pure)
  , testCase "a bad alignment for a value" $ forM_ [3, 24, 4097, maxBound] $ \a -> do
      when (a > 16) $ invalid "mallocForeignPtrAligned" (mallocForeignPtrAligned @Int a)
      when (a > 16) $ invalid "withMallocAligned" (withMallocAligned @Int a pure)
  , testCase "a type with an alignment that cannot be" $ do
      invalid "mallocForeignPtr" (mallocForeignPtr @Crooked)
      invalid "withCalloc" (withCalloc @Crooked pure)
  , testCase "more memory than there is" $ do
      exhausted "mallocForeignPtrBytes" (mallocForeignPtrBytes maxBound)
      exhausted "zallocForeignPtrBytes" (zallocForeignPtrBytes maxBound)
      exhausted "mallocForeignPtrArray" (mallocForeignPtrArray @Int (maxBound `quot` 8))
      exhausted "mallocForeignPtrAlignedBytes" (mallocForeignPtrAlignedBytes maxBound 64)
      exhausted "withMallocBytes" (withMallocBytes maxBound pure)
      exhausted "withZallocBytes" (withZallocBytes (2 ^ (60 :: Int)) pure)
      exhausted "withCallocArray" (withCallocArray @Line (2 ^ (56 :: Int)) pure)
  , testCase "an error is thrown when it is run, not before" $ do
      let act = mallocForeignPtrBytes (error "the size was looked at")
      ran <- newIORef False
      _ <- evaluate act
      writeIORef ran True
      assertBool "run" =<< readIORef ran
      try (void act)
        >>= either (\(ErrorCall e) -> e @?= "the size was looked at") (\() -> assertFailure "no exception")
  ]

sizes :: [TestTree]
sizes =
  [ testProperty "goodSize is enough, and little more" $ forAll (choose (1, 10000000)) $ \n ->
      goodSize n >= n && (n < 16 || goodSize n * 8 <= n * 9 + 8 * 4096)
  , testProperty "goodSize is what a block has" $ forAll (choose (1, 65536)) $ \n -> ioProperty $
      (=== goodSize n) <$> withMallocBytes n usableSize
  , testCase "goodSize of a negative size" $ goodSize (-5) @?= goodSize 0
  , testCase "goodSize of no bytes" $ assertBool "negative" (goodSize 0 >= 0)
  , testCase "usableSize of a null pointer" $ usableSize nullPtr >>= (@?= 0)
  , testCase "no bytes, but addresses of their own" $ do
      ps <- replicateM 100 (mallocForeignPtrBytes 0)
      withAll ps $ \as ->
        length (filter id [a == b | (i, a) <- zip [0 :: Int ..] as, (j, b) <- zip [0 ..] as, i < j]) @?= 0
  , testProperty "blocks keep what is written to them" $
        forAll (listOf (choose (0, 20000))) $ \ns -> ioProperty $ do
      ps <- forM (zip ns [0 ..]) $ \(n, i) -> do
        fp <- mallocForeignPtrBytes n
        withForeignPtr fp $ \p -> fillBytes p i n
        pure fp
      fmap and . forM (zip3 ns [0 ..] ps) $ \(n, i, fp) -> withForeignPtr fp (allBytes i n)
  ]
  where withAll fps k = go fps []
          where { go [] ps = k (ps :: [Ptr Word8]); go (f : fs) ps = withForeignPtr f $ \p -> go fs (p : ps) }

brackets :: [TestTree]
brackets =
  [ testCase "the result is the action's" $ withMalloc (\p -> poke p 'x' >> peek p) >>= (@?= 'x')
  , testCase "nested" $ do
      s <- withMalloc $ \p -> withMalloc $ \q -> withMallocBytes 10 $ \_ -> do
        poke p (1 :: Int) >> poke q (2 :: Int)
        (+) <$> peek p <*> peek q
      s @?= 3
  , testCase "the exception is the action's" $
      try (withMalloc $ \p -> poke p 'x' >> throwIO Overflow)
        >>= (@?= (Left Overflow :: Either ArithException ()))
  , testCase "a bracket frees its block, whatever happens" $ do
      before <- liveBlocks
      replicateM_ 1000 (withMallocBytes 100 (const (pure ())))
      replicateM_ 1000 (try @ArithException (withMallocBytes 100 (const (throwIO Overflow))))
      replicateM_ 1000 (try @ArithException (mask_ (withZallocBytes 5000 (const (throwIO Overflow)))))
      after <- liveBlocks
      assertBool ("blocks before: " ++ show before ++ ", after: " ++ show after) (after < before + 100)
  , testCase "the action is masked as the caller is" $ do
      let here = withMalloc (\p -> poke p 'x' >> getMaskingState)
      here >>= (@?= Unmasked)
      mask_ here >>= (@?= MaskedInterruptible)
      uninterruptibleMask_ here >>= (@?= MaskedUninterruptible)
      getMaskingState >>= (@?= Unmasked)
      _ <- try @ArithException (withMallocBytes 1 (const (throwIO Overflow)))
      getMaskingState >>= (@?= Unmasked)
      _ <- try @IOException (withMallocBytes (-1) pure)
      getMaskingState >>= (@?= Unmasked)
      _ <- mallocForeignPtrBytes 10
      getMaskingState >>= (@?= Unmasked)
      mask_ (mallocForeignPtrBytes 10 >> getMaskingState) >>= (@?= MaskedInterruptible)
  , testCase "the result is not forced" $ do
      x <- withMalloc $ \p -> poke p 'x' >> pure (error "forced" :: Int)
      length [x] @?= 1
  , testCase "an action that is undefined is an exception like others" $ do
      r <- try (withMalloc (undefined :: Ptr Int -> IO ()))
      either (\(_ :: ErrorCall) -> pure ()) (const (assertFailure "no exception")) r
  ]

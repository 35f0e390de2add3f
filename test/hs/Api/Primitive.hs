{-# LANGUAGE ScopedTypeVariables #-}
-- The C functions one to one.
module Api.Primitive (tests) where

import Control.Monad
import Data.Bits (shiftL)
import Data.Word (Word8)
import Foreign.C.Error (Errno (..), eEXIST, eINVAL, eNOMEM, getErrno, resetErrno)
import Foreign.C.String (newCString, peekCString, withCString)
import Foreign.C.Types (CSize)
import Foreign.Marshal.Alloc (alloca, allocaBytes, free)
import Foreign.Marshal.Array (peekArray, pokeArray)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr
import Foreign.Storable
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck

import Api.Support
import Mimalloc

tests :: TestTree
tests = testGroup "primitive"
  [ testCase "mi_malloc, mi_free" $ forM_ [0, 1, 8, 100, 1000, 10000, 100000, 1000000, 10000000] $ \n -> do
      p <- block n (mi_malloc n)
      pokeByteOff p (max 0 (fromIntegral n - 1)) (1 :: Word8)
      mi_free p
  , testCase "mi_free of a null pointer" $ mi_free nullPtr
  , testCase "mi_malloc_small, mi_zalloc_small" $ forM_ [0 .. 1024] $ \n -> do
      p <- block n (mi_malloc_small n)
      fillBytes p 0xA5 (fromIntegral n)
      mi_free p
      q <- block n (mi_zalloc_small n)
      zeros q 0 n
      mi_free q
  , testCase "mi_zalloc, mi_calloc" $ forM_ [1, 100, 1000, 5000, 70000, 1 `shiftL` 20, 3000000] $ \n -> do
      dirty n
      p <- block n (mi_zalloc n)
      zeros p 0 n
      mi_free p
      dirty n
      q <- block n (mi_calloc (n `div` 4 + 1) 4)
      zeros q 0 n
      mi_free q
  , testCase "mi_mallocn" $ block 1000 (mi_mallocn 10 100) >>= mi_free
  , testProperty "mi_realloc keeps the contents" $
        forAll (listOf (oneof [choose (0, 500), choose (0, 3000000)])) $ \ns ->
      ioProperty (regrow mi_realloc ns)
  , testProperty "mi_reallocf keeps the contents" $
      forAll (listOf (choose (0, 100000))) (ioProperty . regrow mi_reallocf)
  , testProperty "mi_reallocn keeps the contents" $
      forAll (listOf (choose (0, 100000))) $ ioProperty . regrow (\p n -> mi_reallocn p n 1)
  , testCase "mi_rezalloc, mi_recalloc clear what is new" $
        forM_ [(10, 100), (100, 5000), (5000, 2000000)] $ \(m, n) -> do
      forM_ [mi_rezalloc, \p k -> mi_recalloc p k 1] $ \change -> do
        p <- mi_zalloc m
        fillBytes p 0xA5 (fromIntegral m)
        q <- block n (change p n)
        allBytes 0xA5 (fromIntegral m) q >>= assertBool "the old bytes"
        zeros q m n
        mi_free q
  , testCase "mi_expand stays where it is or fails" $ do
      p <- mi_malloc 100
      usable <- mi_usable_size p
      mi_expand p usable >>= (@?= p)
      mi_expand p (usable + 1) >>= (@?= nullPtr)
      mi_free p
  , testCase "mi_strdup, mi_strndup" $ do
      s <- withCString "hello" mi_strdup
      peekCString s >>= (@?= "hello")
      t <- mi_strndup s 2
      peekCString t >>= (@?= "he")
      u <- mi_strndup s 100
      peekCString u >>= (@?= "hello")
      mapM_ mi_free [s, t, u]
  , testCase "mi_realpath" $ do
      p <- withCString "/usr/../usr/." (`mi_realpath` nullPtr)
      peekCString p >>= (@?= "/usr")
      mi_free p
      allocaBytes 4096 $ \buffer -> do
        q <- withCString "/usr/.." (`mi_realpath` buffer)
        q @?= buffer
        peekCString q >>= (@?= "/")
      withCString "/no/such/file" (`mi_realpath` nullPtr) >>= (@?= nullPtr)
  , testGroup "aligned" [ testCase (show (align :: CSize)) (aligned align)
                        | align <- [1, 8, 16, 32, 64, 4096, 65536, 1048576] ]
  , testCase "what cannot be is a null pointer and errno" $ do
      fails [eNOMEM] (mi_malloc maxBound)
      fails [eNOMEM] (mi_zalloc (maxBound `div` 2 + 1))
      fails [eNOMEM, eOVERFLOW] (mi_calloc (1 `shiftL` 32) (1 `shiftL` 32))
      fails [eNOMEM, eOVERFLOW] (mi_mallocn maxBound 2)
      fails [eNOMEM, eOVERFLOW] (mi_calloc maxBound maxBound)
      fails [eINVAL] (mi_malloc_aligned 100 24)
      fails [eINVAL] (mi_zalloc_aligned 100 0)
      p <- mi_malloc 10
      poke p (7 :: Word8)
      fails [eNOMEM] (mi_realloc p maxBound)
      fails [eNOMEM, eOVERFLOW] (mi_reallocn p maxBound maxBound)
      peek p >>= (@?= 7)
      fails [eNOMEM] (mi_reallocf p maxBound) -- frees p
  , testCase "mi_free keeps errno" $ do
      p <- mi_malloc 10
      _ <- mi_malloc maxBound :: IO (Ptr Word8)
      before <- getErrno
      mi_free p
      after <- getErrno
      assertBool "another errno" (before == after && before /= eEXIST)
  , testCase "mi_usable_size, mi_good_size" $ forM_ [1, 10, 100, 1000, 10000] $ \n -> do
      p <- mi_malloc n
      mi_usable_size p >>= (@?= mi_good_size n)
      mi_free p
  , testCase "mi_is_in_heap_region" $ do
      p <- mi_malloc 100
      mi_is_in_heap_region p >>= (@?= 1)
      mi_free p
      c <- newCString "elsewhere"
      mi_is_in_heap_region c >>= (@?= 0)
      free c
      alloca $ \(q :: Ptr Int) -> mi_is_in_heap_region q >>= (@?= 0)
      mi_is_in_heap_region nullPtr >>= (@?= 0)
  , testCase "mi_collect" $ mi_collect 0 >> mi_collect 1
  , testCase "mi_version" $ mi_version >>= assertBool "not positive" . (> 0)
  ]
  where
    -- Every size has its pattern up to the smaller of both sizes.
    regrow change = go nullPtr 0
      where
        go p _ [] = True <$ mi_free p
        go p old (n : ns) = do
          q <- change p n
          kept <- allBytes 0xA5 (fromIntegral (min old n)) q
          fillBytes q 0xA5 (fromIntegral n)
          if kept then go q n ns else False <$ mi_free q

-- The block is there, aligned to 16 and large enough.
block :: CSize -> IO (Ptr Word8) -> IO (Ptr Word8)
block n allocate = do
  p <- allocate
  assertBool "a null pointer" (p /= nullPtr)
  assertBool "not aligned to 16" (isAligned 16 p)
  usable <- mi_usable_size p
  assertBool ("only " ++ show usable ++ " of " ++ show n ++ " bytes") (usable >= n)
  pure p

zeros :: Ptr Word8 -> CSize -> CSize -> Assertion
zeros p from to = allBytes 0 (fromIntegral (to - from)) (p `plusPtr` fromIntegral from)
  >>= assertBool "not zeros"

dirty :: CSize -> IO ()
dirty n = do
  ps <- replicateM 5 (mi_malloc n)
  forM_ ps $ \p -> fillBytes p 0xA5 (fromIntegral n)
  mapM_ mi_free ps

-- Linux's; base has no name for it.
eOVERFLOW :: Errno
eOVERFLOW = Errno 75

fails :: [Errno] -> IO (Ptr Word8) -> Assertion
fails errnos allocate = do
  resetErrno
  p <- allocate
  errno@(Errno n) <- getErrno
  p @?= nullPtr
  assertBool ("errno is " ++ show n) (errno `elem` errnos)

aligned :: CSize -> Assertion
aligned align = do
  let at o p = assertBool "not aligned"
        (isAligned (fromIntegral align) (p `plusPtr` fromIntegral (o :: CSize)))
      done o p = assertBool "a null pointer" (p /= nullPtr) >> at o p >> fillBytes p 0xA5 100 >> mi_free p
      clear o p = zeros p 0 100 >> done o p
  mi_malloc_aligned 100 align >>= done 0
  mi_zalloc_aligned 100 align >>= clear 0
  mi_calloc_aligned 10 10 align >>= clear 0
  forM_ [0, 1, 8, 24, 100] $ \o -> do
    mi_malloc_aligned_at 200 align o >>= done o
    mi_zalloc_aligned_at 200 align o >>= clear o
    mi_calloc_aligned_at 20 10 align o >>= clear o
    mi_malloc_aligned_at 100 align o >>= \p -> pokeArray p [1 .. 100]
      >> regrown o p (\q -> mi_realloc_aligned_at q 5000 align o)
    p <- mi_zalloc_aligned_at 100 align o
    pokeArray p [1 .. 100]
    q <- mi_rezalloc_aligned_at p 3000 align o
    zeros q 200 3000
    regrown o q (\r -> mi_recalloc_aligned_at r 1000 7 align o)
  mi_malloc_aligned 100 align >>= \p -> pokeArray p [1 .. 100]
    >> regrown 0 p (\q -> mi_realloc_aligned q 5000 align)
  mi_zalloc_aligned 100 align >>= \p -> pokeArray p [1 .. 100]
    >> regrown 0 p (\q -> mi_rezalloc_aligned q 5000 align)
  mi_zalloc_aligned 100 align >>= \p -> pokeArray p [1 .. 100]
    >> regrown 0 p (\q -> mi_recalloc_aligned q 50 100 align)
  mi_malloc_aligned 100 align >>= \p -> pokeArray p [1 .. 100]
    >> regrown 0 p (\q -> mi_realloc_aligned q 2000000 align)
  where
    regrown :: CSize -> Ptr Word8 -> (Ptr Word8 -> IO (Ptr Word8)) -> Assertion
    regrown o p change = do
      q <- change p
      assertBool "not aligned" (isAligned (fromIntegral align) (q `plusPtr` fromIntegral o))
      peekArray 100 q >>= (@?= [1 .. 100])
      mi_free q

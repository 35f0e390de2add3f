{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE TypeApplications #-}
-- Storable vectors over our blocks, and those that grow.
module Interface.Vector (tests) where

import Control.Exception
import Control.Monad
import qualified Data.Vector.Storable as V
import qualified Data.Vector.Storable.Mutable as VM
import Data.Word (Word8)
import Foreign.ForeignPtr (newForeignPtr_, withForeignPtr)
import Foreign.Marshal.Array (peekArray)
import Foreign.Ptr (Ptr, nullPtr)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck

import Api.Support
import Mimalloc.Heap
import Mimalloc.Primitive (mi_is_in_heap_region, mi_usable_size)
import qualified Mimalloc.Vector as M

tests :: TestTree
tests = testGroup "vector"
  [ testProperty "generate" $ forAll (choose (-5, 3000)) $ \n ->
      M.generate n (* 3) === V.generate n (* (3 :: Int))
  , testProperty "replicate" $ forAll (choose (-5, 3000)) $ \n (x :: Double) ->
      M.replicate n x === V.replicate n x
  , testProperty "fromList" $ \(xs :: [Int]) -> M.fromList xs === V.fromList xs
  , testProperty "copy" $ \(xs :: [Int]) -> forAll (choose (0, length xs)) $ \n ->
      let v = V.drop n (V.fromList xs) in M.copy v === v
  , testProperty "vector's functions on them" $ \(xs :: [Int]) ->
        forAll (choose (0, length xs)) $ \n -> ioProperty $ do
      let ours = M.fromList xs
          v = V.fromList xs
          (fp, len) = V.unsafeToForeignPtr0 ours
      there <- withForeignPtr fp (peekArray len)
      changed <- V.unsafeThaw (M.copy v) >>= \m -> forM_ (zip [0 ..] (reverse xs)) (uncurry (VM.write m))
        >> VM.grow m 10 >>= V.freeze . VM.take (length xs)
      pure $ there === xs .&&. V.drop n ours === V.drop n v
        .&&. V.map (+ 1) ours === V.map (+ 1) v .&&. ours <> v === v <> ours
        .&&. M.unsafeFromForeignPtr0 fp len === v
        .&&. M.copy (V.take n ours) === V.take n v .&&. changed === V.reverse v
  , testProperty "thaw, freeze" $ \(xs :: [Word8]) -> ioProperty $ do
      let v = V.fromList xs
      m <- M.thaw v
      w <- M.freeze m
      forM_ [0 .. length xs - 1] $ \i -> VM.write m i 0
      u <- M.freeze m
      pure (w === v .&&. u === V.map (const 0) v)
  , testCase "zeros" $ forM_ [0, 1, 100, 100000, 500000] $ \n -> do
      a <- M.zallocVector n
      a @?= V.replicate n (0 :: Int)
      b <- M.zallocMVector n >>= V.unsafeFreeze
      b @?= V.replicate n (0 :: Int)
      h <- newHeap
      c <- M.heapZallocVector h n
      c @?= V.replicate n (0 :: Int)
      d <- M.heapZallocMVector h n >>= V.unsafeFreeze
      d @?= V.replicate n (0 :: Int)
  , testCase "lengths" $ do
      h <- newHeap
      a <- M.mallocVector @Int 7
      b <- M.mallocMVector @Int 7
      c <- M.heapMallocVector @Int h 7
      d <- M.heapMallocMVector @Int h 7
      (V.length a, VM.length b, V.length c, VM.length d) @?= (7, 7, 7, 7)
  , testCase "elements stand as their type wants" $ do
      h <- newHeap
      let at align v = V.unsafeWith v $ \p -> isAligned align p @?= True
          mat align v = VM.unsafeWith v $ \p -> isAligned align p @?= True
      replicateM_ 20 $ do
        M.mallocVector @Line 3 >>= at 64
        M.zallocVector @Line 3 >>= at 64
        M.heapMallocVector @Line h 3 >>= at 64
        M.heapZallocVector @Line h 3 >>= at 64
        M.mallocMVector @Line 3 >>= mat 64
        M.heapZallocMVector @Line h 3 >>= mat 64
        at 64 (M.generate 5 (Line . fromIntegral))
        at 64 (M.fromList (map Line [1 .. 100]))
        at 64 (M.copy (V.fromList (map Line [1 .. 5])))
        M.thaw (V.fromList (map Line [1 .. 5])) >>= mat 64
        at 16 (M.fromList "abc")
  , testCase "they lie in our heap" $ do
      let ours v = V.unsafeWith v $ \p -> mi_is_in_heap_region p >>= (@?= 1)
      ours (M.generate 5 id)
      ours (M.replicate 5 'x')
      ours (M.fromList "abc")
      ours (M.copy (V.fromList "abc"))
  , testCase "failures" $ do
      h <- newHeap
      invalid "mallocVector" (M.mallocVector @Int (-1))
      invalid "zallocVector" (M.zallocVector @Int (maxBound `quot` 8 + 1))
      invalid "mallocMVector" (M.mallocMVector @Line maxBound)
      invalid "zallocMVector" (M.zallocMVector @Int (-1))
      invalid "heapMallocVector" (M.heapMallocVector @Int h (-1))
      invalid "heapZallocMVector" (M.heapZallocMVector @Line h maxBound)
      invalid "mallocVector" (M.mallocVector @Crooked 1)
      invalid "generate" (evaluate (M.generate (maxBound `quot` 4) (const (0 :: Int))))
      exhausted "mallocVector" (M.mallocVector @Word8 maxBound)
  , testCase "from a foreign pointer" $ do
      fp <- newForeignPtr_ (nullPtr :: Ptr Int)
      V.length (M.unsafeFromForeignPtr0 fp 0) @?= 0
      V.length (M.unsafeFromForeignPtr fp 0 0) @?= 0
  , testCase "an exception in an element frees the block" $ do
      before <- liveBlocks
      replicateM_ 300 $ try (evaluate (M.generate 100 (\i -> if i == 50 then throw Overflow else i)))
        >>= either (@?= Overflow) (const (assertFailure "no exception"))
      replicateM_ 300 $ try (evaluate (M.fromList ([1 .. 50] ++ [throw Overflow :: Int])))
        >>= either (@?= Overflow) (const (assertFailure "no exception"))
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  , testGroup "growable" growable
  , testGroup "asynchronous exceptions"
      [ struck "generate" (anew (`M.generate` id) 300 >>= used)
      , struck "fromList" (anew M.fromList [1 .. 300] >>= used)
      , struck "copy" (anew M.copy some >>= used)
      , struck "thaw, freeze" (M.thaw some >>= M.freeze >>= used)
      , struck "a growable vector" $ do
          g <- M.newGrowable 0
          forM_ [1 .. 100] (M.push g)
          M.extend g some
          M.freezeGrowable g >>= used
          M.takeVector g >>= used
      ]
  ]
  where
    some = V.generate 1000 id
    used v = when (V.sum v < (0 :: Int)) $ throwIO Underflow

data Step = Push Int | Pop | Extend [Int] | Truncate Int | Reserve Int | Write Int Int | Take deriving Show

instance Arbitrary Step where
  arbitrary = frequency
    [ (8, Push <$> arbitrary), (2, pure Pop), (3, Extend <$> arbitrary)
    , (1, Truncate <$> choose (0, 20)), (1, Reserve <$> choose (0, 300))
    , (2, Write <$> choose (0, 30) <*> arbitrary), (1, pure Take) ]

growable :: [TestTree]
growable =
  [ testProperty "as a list does" $ \steps -> forAll (choose (0, 10)) $ \room -> ioProperty $ do
      g <- M.newGrowable room
      results <- foldM (step g) (property True, []) (steps :: [Step])
      v <- M.freezeGrowable g
      n <- M.growableLength g
      cap <- M.growableCapacity g
      pure (fst results .&&. V.toList v === snd results
        .&&. n === length (snd results) .&&. property (cap >= n))
  , testCase "grows large" $ do
      g <- M.newGrowable 0
      forM_ [0 .. 2000000 :: Int] (M.push g)
      v <- M.takeVector g
      v @?= V.generate 2000001 id
      M.growableLength g >>= (@?= 0)
      M.push g 5
      M.freezeGrowable g >>= (@?= V.fromList [5])
  , testCase "takeVector gives back what is left over" $ do
      g <- M.newGrowable 100000
      forM_ "abc" (M.push g)
      v <- M.takeVector g
      v @?= V.fromList "abc"
      V.unsafeWith v $ \p -> mi_usable_size p >>= \n -> assertBool (show n) (n < 100)
  , testCase "elements stand as their type wants" $ do
      g <- M.newGrowable 1
      forM_ [1 .. 1000] $ \i -> M.push g (Line i)
      v <- M.takeVector g
      v @?= V.generate 1000 (Line . fromIntegral . (+ 1))
      V.unsafeWith v $ \p -> isAligned 64 p @?= True
  , testCase "failures" $ do
      g <- M.newGrowable 0 :: IO (M.Growable Int)
      invalid "newGrowable" (M.newGrowable (-1) :: IO (M.Growable Int))
      invalid "reserve" (M.reserve g (-1))
      invalid "reserve" (M.reserve g maxBound)
      exhausted "reserve" (M.reserve g (maxBound `quot` 16))
      invalid "readGrowable" (M.readGrowable g 0)
      invalid "writeGrowable" (M.writeGrowable g (-1) 0)
      invalid "truncateGrowable" (M.truncateGrowable g 1)
      c <- M.newGrowable 0
      invalid "push" (M.push c (Crooked 1))
      M.pop g >>= (@?= Nothing)
  , testCase "leaves nothing behind" $ do
      before <- liveBlocks
      replicateM_ 1000 $ M.newGrowable 3 >>= \g -> forM_ [1 .. 50 :: Int] (M.push g)
      replicateM_ 1000 $ M.newGrowable 3 >>= \g -> forM_ [1 .. 50 :: Int] (M.push g) >> M.takeVector g
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  ]
  where
    step g (ok, xs) s = case s of
      Push x -> M.push g x >> pure (ok, xs ++ [x])
      Pop -> do
        r <- M.pop g
        pure $ if null xs then (ok .&&. r === Nothing, xs) else (ok .&&. r === Just (last xs), init xs)
      Extend ys -> M.extend g (V.fromList ys) >> pure (ok, xs ++ ys)
      Truncate n | n <= length xs -> M.truncateGrowable g n >> pure (ok, take n xs)
                 | otherwise -> pure (ok, xs)
      Reserve n -> M.reserve g n >> pure (ok, xs)
      Write i x | i < length xs -> do
                    M.writeGrowable g i x
                    y <- M.readGrowable g i
                    pure (ok .&&. y === x, take i xs ++ x : drop (i + 1) xs)
                | otherwise -> pure (ok, xs)
      Take -> M.takeVector g >>= \v -> pure (ok .&&. V.toList v === xs, [])

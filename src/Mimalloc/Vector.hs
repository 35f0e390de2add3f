{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- |
-- Storable vectors outside GHC's heap, and vectors that grow.
--
-- They are storable vectors like all others: every function on them works. What functions of vector make of
-- them shares the block (@slice@) or lies in GHC's heap (@zipWith@).
--
-- Common to all functions of this module:
--
-- * Sizes are in elements, and checked: elements whose bytes no 'Int' can count and negative sizes are an
--   invalid argument ('Mimalloc.isInvalidArgument'), want of memory is 'Mimalloc.isResourceExhausted';
--   thrown, by pure functions, where the result is evaluated.
-- * Blocks are aligned as the type's 'alignment' says, and to 16 bytes at least. The garbage collector frees
--   the block some time after its last use.
-- * They may be called from any Haskell thread, and no asynchronous exception leaks a block.
-- * A /Haskell/ finalizer must not use one of them that may die together with what it belongs to: C
--   finalizers, as ours are, run first, and the block is free. "Mimalloc.ByteString" says what works.
--
-- The module is meant to be imported qualified. Those that grow have a page of their own,
-- "Mimalloc.Vector.Growable".
--
-- >>> import qualified Mimalloc.Vector as M
-- >>> M.generate 5 (\i -> i * i) :: M.Vector Int
-- [0,1,4,9,16]
--
-- @since 0.1.0.0
module Mimalloc.Vector
  ( -- * Blocks as vectors
    -- | Immutable ones have whatever the block has in it until somebody writes to it: before anybody else
    -- sees it.
    mallocVector
  , zallocVector
  , heapMallocVector
  , heapZallocVector
    -- * Blocks as mutable vectors
  , mallocMVector
  , zallocMVector
  , heapMallocMVector
  , heapZallocMVector
    -- * From other data
  , generate
  , map
  , replicate
  , unfoldrN
  , fromList
  , fromListN
  , concat
  , generateM
  , replicateM
  , copy
  , heapCopyVector
  , mapFile
  , thaw
  , freeze
    -- ** In ST
  , mallocSTVector
  , zallocSTVector
  , thawST
  , freezeST
  , generateST
  , replicateST
    -- ** From a foreign pointer
  , unsafeFromForeignPtr
  , unsafeFromForeignPtr0
    -- * Vectors that grow
  , Growable
  , newGrowable
  , growableLength
  , growableCapacity
  , readGrowable
  , writeGrowable
  , push
  , pop
  , extend
  , reserve
  , truncateGrowable
  , modifyGrowable
  , forGrowable
  , foldGrowable
  , takeVector
  , freezeGrowable
    -- * Types
  , Vector
  , IOVector
  , STVector
  , Storable
    -- * What the examples import
    -- $setup
  ) where

import Prelude hiding (concat, map, replicate)

import Control.Monad (foldM_, when)
import Control.Monad.ST (ST)
import Control.Monad.ST.Unsafe (unsafeIOToST)
import Data.List (foldl')
import Data.Vector.Storable (Vector, unsafeFromForeignPtr, unsafeFromForeignPtr0)
import qualified Data.Vector.Storable as Vector
import Data.Vector.Storable.Mutable (IOVector, STVector)
import qualified Data.Vector.Storable.Mutable as Mutable
import Data.Word (Word8)
import Foreign.ForeignPtr (ForeignPtr, castForeignPtr, withForeignPtr)
import Foreign.Marshal.Array (advancePtr)
import Foreign.Marshal.Utils (copyBytes)
import Foreign.Ptr (Ptr, castPtr)
import Foreign.Storable (Storable (..))
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Bytes (copyMuch)
import Mimalloc.Internal.Files (mapped)
import Mimalloc.Internal.Growable
import Mimalloc.Internal.Heap

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Vector.Growable
-- >>> import qualified Data.Vector.Storable as Vector
-- >>> import qualified Data.Vector.Storable.Mutable as Mutable
-- >>> import Control.Monad.ST (runST)
-- >>> import Mimalloc.Heap
-- >>> import qualified Mimalloc.Vector as M
-- >>> import System.Directory (getTemporaryDirectory, removeFile)
-- >>> import System.IO (IOMode (..), hPutBuf, withBinaryFile)

-- | A vector of so many elements with whatever the block has in it. A vector never changes, so this one is to
-- be written through its pointer ('Vector.unsafeWith') before it is used as one; 'mallocMVector' is the
-- tidier way.
--
-- >>> Vector.length <$> (M.mallocVector 100 :: IO (M.Vector Int))
-- 100
--
-- @since 0.1.0.0
mallocVector :: Storable a => Int -> IO (Vector a)
mallocVector n = (`unsafeFromForeignPtr0` n) <$> newMany "mallocVector" n
{-# INLINE mallocVector #-}

-- | A vector of so many elements, all bytes of it 0.
--
-- >>> M.zallocVector 3 :: IO (M.Vector Int)
-- [0,0,0]
--
-- @since 0.1.0.0
zallocVector :: Storable a => Int -> IO (Vector a)
zallocVector n = (`unsafeFromForeignPtr0` n) <$> newBlock "zallocVector" (\source -> many source Zeros n)
{-# INLINE zallocVector #-}

-- | 'mallocVector' from a heap. How long it lives is said in "Mimalloc.Heap".
--
-- >>> heap <- newHeap
-- >>> Vector.length <$> (M.heapMallocVector heap 100 :: IO (M.Vector Int))
-- 100
--
-- @since 0.1.0.0
heapMallocVector :: Storable a => Heap s -> Int -> IO (Vector a)
heapMallocVector heap n =
  (`unsafeFromForeignPtr0` n) <$> newHeapBlock "heapMallocVector" heap (\source -> many source Whatever n)
{-# INLINE heapMallocVector #-}

-- | 'zallocVector' from a heap.
--
-- >>> withHeap $ \heap -> M.heapZallocVector heap 3 :: IO (M.Vector Int)
-- [0,0,0]
--
-- @since 0.1.0.0
heapZallocVector :: Storable a => Heap s -> Int -> IO (Vector a)
heapZallocVector heap n =
  (`unsafeFromForeignPtr0` n) <$> newHeapBlock "heapZallocVector" heap (\source -> many source Zeros n)
{-# INLINE heapZallocVector #-}

-- | A mutable vector of so many elements with whatever the block has in it.
--
-- >>> v <- M.mallocMVector 3 :: IO (M.IOVector Int)
-- >>> Mutable.write v 0 7 >> Mutable.read v 0
-- 7
--
-- @since 0.1.0.0
mallocMVector :: Storable a => Int -> IO (IOVector a)
mallocMVector n = (`Mutable.unsafeFromForeignPtr0` n) <$> newMany "mallocMVector" n
{-# INLINE mallocMVector #-}

-- | A mutable vector of so many elements, all bytes of it 0.
--
-- >>> v <- M.zallocMVector 3 :: IO (M.IOVector Int)
-- >>> Mutable.read v 2
-- 0
--
-- @since 0.1.0.0
zallocMVector :: Storable a => Int -> IO (IOVector a)
zallocMVector n =
  (`Mutable.unsafeFromForeignPtr0` n) <$> newBlock "zallocMVector" (\source -> many source Zeros n)
{-# INLINE zallocMVector #-}

-- | 'mallocMVector' from a heap.
--
-- >>> v <- withHeap $ \h -> M.heapMallocMVector h 3 :: IO (M.IOVector Int)
-- >>> Mutable.length v
-- 3
--
-- @since 0.1.0.0
heapMallocMVector :: Storable a => Heap s -> Int -> IO (IOVector a)
heapMallocMVector heap n = (`Mutable.unsafeFromForeignPtr0` n)
  <$> newHeapBlock "heapMallocMVector" heap (\source -> many source Whatever n)
{-# INLINE heapMallocMVector #-}

-- | 'zallocMVector' from a heap.
--
-- >>> v <- withHeap $ \h -> M.heapZallocMVector h 3 :: IO (M.IOVector Int)
-- >>> Mutable.read v 2
-- 0
--
-- @since 0.1.0.0
heapZallocMVector :: Storable a => Heap s -> Int -> IO (IOVector a)
heapZallocMVector heap n =
  (`Mutable.unsafeFromForeignPtr0` n)
    <$> newHeapBlock "heapZallocMVector" heap (\source -> many source Zeros n)
{-# INLINE heapZallocMVector #-}

-- | The vector whose elements are the function's results for 0, 1 and so on. Empty for a size below 1, as in
-- vector.
--
-- >>> M.generate 3 (+ 10) :: M.Vector Int
-- [10,11,12]
--
-- @since 0.1.0.0
generate :: Storable a => Int -> (Int -> a) -> Vector a
generate = generateFor "generate"
{-# INLINE generate #-}

-- Failures are reported under the name.
generateFor :: Storable a => String -> Int -> (Int -> a) -> Vector a
generateFor name n f
  | n <= 0 = Vector.empty
  | otherwise = unsafePerformIO $ do
      fp <- newMany name n
      withForeignPtr fp $ \p -> each n (\i -> pokeElemOff p i (f i))
      pure (unsafeFromForeignPtr0 fp n)
{-# INLINE generateFor #-}

-- | What the function makes of each element.
--
-- >>> M.map (+ 1) (Vector.fromList [1, 2, 3]) :: M.Vector Int
-- [2,3,4]
--
-- @since 0.1.0.0
map :: (Storable a, Storable b) => (a -> b) -> Vector a -> Vector b
map f v = generateFor "map" (Vector.length v) (f . Vector.unsafeIndex v)
{-# INLINE map #-}

-- | So many times the same element. Empty for a size below 1, as in vector.
--
-- >>> M.replicate 3 'x'
-- "xxx"
--
-- @since 0.1.0.0
replicate :: Storable a => Int -> a -> Vector a
replicate n x
  | n <= 0 = Vector.empty
  | otherwise = unsafePerformIO $ do
      fp <- newMany "replicate" n
      withForeignPtr fp $ \p -> poke p x >> repeatFirst p n
      pure (unsafeFromForeignPtr0 fp n)
{-# INLINE replicate #-}

-- The first element is what all are to be: doubled up to some KiB, which stay in the nearest cache, and then
-- these again and again.
repeatFirst :: forall a. Storable a => Ptr a -> Int -> IO ()
repeatFirst p n = when (total > 0) $ go size
  where
    size = sizeOf (undefined :: a)
    total = n * size
    bytes_ = castPtr p :: Ptr Word8
    piece = max size (16384 - 16384 `rem` size)
    go done
      | done >= total = pure ()
      | otherwise = do
          let more = (done `min` piece) `min` (total - done)
          copyBytes (bytes_ `advancePtr` done) bytes_ more
          go (done + more)
{-# INLINABLE repeatFirst #-}

-- For 0, 1 and so on, so many.
each :: Int -> (Int -> IO ()) -> IO ()
each n act = go 0
  where go !i | i >= n = pure ()
              | otherwise = act i >> go (i + 1)
{-# INLINE each #-}

-- | At most so many elements, each from the seed that the one before left, up to the first 'Nothing'.
--
-- >>> M.unfoldrN 5 (\n -> if n > 3 then Nothing else Just (n * n, n + 1)) 1 :: M.Vector Int
-- [1,4,9]
--
-- @since 0.1.0.0
unfoldrN :: Storable a => Int -> (b -> Maybe (a, b)) -> b -> Vector a
unfoldrN = unfoldrNFor "unfoldrN"
{-# INLINE unfoldrN #-}

unfoldrNFor :: Storable a => String -> Int -> (b -> Maybe (a, b)) -> b -> Vector a
unfoldrNFor name n f seed
  | n <= 0 = Vector.empty
  | otherwise = unsafePerformIO $ do
      g <- newGrowableFor name (min n 1024)
      let go !i s | i < n, Just (x, s') <- f s = pushFor name g x >> go (i + 1) s'
                  | otherwise = takeVector g
      go 0 seed
{-# INLINE unfoldrNFor #-}

-- | The first so many elements of a list, or all if it has fewer.
--
-- >>> M.fromListN 2 "abc"
-- "ab"
--
-- @since 0.1.0.0
fromListN :: Storable a => Int -> [a] -> Vector a
fromListN n = unfoldrNFor "fromListN" n next
  where next (x : xs) = Just (x, xs)
        next [] = Nothing
{-# INLINE fromListN #-}

-- | All of them in one block.
--
-- >>> M.concat [Vector.fromList "ab", Vector.empty, Vector.fromList "c"]
-- "abc"
--
-- @since 0.1.0.0
concat :: Storable a => [Vector a] -> Vector a
concat pieces
  | total == 0 = Vector.empty
  | otherwise = unsafePerformIO $ do
      fp <- newMany "concat" total
      withForeignPtr fp $ \p -> foldM_ append p pieces
      pure (unsafeFromForeignPtr0 fp total)
  where
    total = foldl' (\n v -> plusLength n (Vector.length v)) 0 pieces
    append p v =
      (p `advancePtr` Vector.length v) <$ Vector.unsafeWith v (\q -> copyElements p q (Vector.length v))
{-# INLINE concat #-}

-- | The vector whose elements are the action's results for 0, 1 and so on. Empty for a size below 1, as in
-- vector.
--
-- >>> M.generateM 3 (\i -> print i >> pure (10 * i))
-- 0
-- 1
-- 2
-- [0,10,20]
--
-- @since 0.1.0.0
generateM :: Storable a => Int -> (Int -> IO a) -> IO (Vector a)
generateM n f
  | n <= 0 = pure Vector.empty
  | otherwise = do
      fp <- newMany "generateM" n
      withForeignPtr fp $ \p -> each n (\i -> f i >>= pokeElemOff p i)
      pure (unsafeFromForeignPtr0 fp n)
{-# INLINE generateM #-}

-- | So many results of an action.
--
-- >>> M.replicateM 3 (pure 'x')
-- "xxx"
--
-- @since 0.1.0.0
replicateM :: Storable a => Int -> IO a -> IO (Vector a)
replicateM n act
  | n <= 0 = pure Vector.empty
  | otherwise = do
      fp <- newMany "replicateM" n
      withForeignPtr fp $ \p -> each n (\i -> act >>= pokeElemOff p i)
      pure (unsafeFromForeignPtr0 fp n)
{-# INLINE replicateM #-}

-- | The vector of these elements. The list is consumed as it comes.
--
-- >>> M.fromList "abc"
-- "abc"
--
-- @since 0.1.0.0
fromList :: Storable a => [a] -> Vector a
fromList [] = Vector.empty
fromList xs = unsafePerformIO $ do
  g <- newGrowableFor "fromList" 16
  mapM_ (pushFor "fromList" g) xs
  takeVector g
{-# INLINE fromList #-}

-- | A copy in a block of its own. It frees a small slice from the large vector it was cut from, and what
-- lives long from GHC's pinned heap.
--
-- >>> M.copy (Vector.take 2 (Vector.fromList [1, 2, 3 :: Int]))
-- [1,2]
--
-- @since 0.1.0.0
copy :: Storable a => Vector a -> Vector a
copy v
  | Vector.null v = Vector.empty
  | otherwise = unsafePerformIO $ (`unsafeFromForeignPtr0` Vector.length v) <$> copied "copy" v
{-# INLINE copy #-}

-- | A copy in a heap. How long it lives is said in "Mimalloc.Heap".
--
-- >>> heap <- newHeap
-- >>> M.heapCopyVector heap (Vector.fromList "abc")
-- "abc"
--
-- @since 0.1.0.0
heapCopyVector :: Storable a => Heap s -> Vector a -> IO (Vector a)
heapCopyVector heap v = do
  fp <- newHeapBlock "heapCopyVector" heap (\source -> many source Whatever (Vector.length v))
  withForeignPtr fp $ \p -> Vector.unsafeWith v $ \q -> copyElements p q (Vector.length v)
  pure (unsafeFromForeignPtr0 fp (Vector.length v))
{-# INLINE heapCopyVector #-}

-- | A file mapped into memory, as elements in this machine's order; bytes at its end that are no whole
-- element are left out. It is read by the system when it is looked at, and unmapped when the vector is gone.
-- The file must neither be written to nor cut meanwhile: elements would change, and reading what was cut off
-- ends the process. What has no size or cannot be mapped, as files of @\/proc@ and @\/sys@, is read instead.
-- What is no file (a folder, a pipe, a device) is an @IOError@.
--
-- >>> directory <- getTemporaryDirectory
-- >>> path = directory ++ "/mimalloc-example"
-- >>> v = Vector.fromList [1, 2, 3 :: Int]
-- >>> withBinaryFile path WriteMode $ \h -> Vector.unsafeWith v (\p -> hPutBuf h p 24)
-- >>> M.mapFile path <* removeFile path :: IO (Vector.Vector Int)
-- [1,2,3]
--
-- @since 0.1.0.0
mapFile :: forall a. Storable a => FilePath -> IO (Vector a)
mapFile path = mapped "mapFile" path >>= \(fp, n) ->
  pure (unsafeFromForeignPtr0 (castForeignPtr fp) (if size == 0 then 0 else n `quot` size))
  where size = sizeOf (undefined :: a)
{-# INLINABLE mapFile #-}

-- | A mutable copy of a vector.
--
-- >>> v <- M.thaw (Vector.fromList "abc")
-- >>> Mutable.write v 0 'x' >> M.freeze v
-- "xbc"
--
-- @since 0.1.0.0
thaw :: Storable a => Vector a -> IO (IOVector a)
thaw v = (`Mutable.unsafeFromForeignPtr0` Vector.length v) <$> copied "thaw" v
{-# INLINE thaw #-}

-- | An immutable copy of a mutable vector.
--
-- >>> v <- M.thaw (Vector.fromList "abc")
-- >>> w <- M.freeze v
-- >>> Mutable.write v 0 'x' >> pure w
-- "abc"
--
-- @since 0.1.0.0
freeze :: Storable a => IOVector a -> IO (Vector a)
freeze v = do
  -- Not changed while it is copied, and not looked at afterwards.
  w <- Vector.unsafeFreeze v
  (`unsafeFromForeignPtr0` Vector.length w) <$> copied "freeze" w
{-# INLINE freeze #-}

-- | 'mallocMVector' in 'ST'.
--
-- >>> Vector.create (M.mallocSTVector 2 >>= \v -> Mutable.write v 0 'a' >> Mutable.write v 1 'b' >> pure v)
-- "ab"
--
-- @since 0.1.0.0
mallocSTVector :: Storable a => Int -> ST s (STVector s a)
mallocSTVector n = unsafeIOToST ((`Mutable.unsafeFromForeignPtr0` n) <$> newMany "mallocSTVector" n)
{-# INLINE mallocSTVector #-}

-- | 'zallocMVector' in 'ST'.
--
-- >>> Vector.create (M.zallocSTVector 3) :: M.Vector Int
-- [0,0,0]
--
-- @since 0.1.0.0
zallocSTVector :: Storable a => Int -> ST s (STVector s a)
zallocSTVector n =
  unsafeIOToST $
    (`Mutable.unsafeFromForeignPtr0` n) <$> newBlock "zallocSTVector" (\source -> many source Zeros n)
{-# INLINE zallocSTVector #-}

-- | 'thaw' in 'ST'.
--
-- >>> Vector.create (M.thawST (Vector.fromList "abc") >>= \v -> Mutable.write v 1 'x' >> pure v)
-- "axc"
--
-- @since 0.1.0.0
thawST :: Storable a => Vector a -> ST s (STVector s a)
thawST v = unsafeIOToST ((`Mutable.unsafeFromForeignPtr0` Vector.length v) <$> copied "thawST" v)
{-# INLINE thawST #-}

-- | 'freeze' in 'ST'.
--
-- >>> runST (M.thawST (Vector.fromList "abc") >>= M.freezeST)
-- "abc"
--
-- @since 0.1.0.0
freezeST :: Storable a => STVector s a -> ST s (Vector a)
freezeST v = do
  w <- Vector.unsafeFreeze v
  unsafeIOToST ((`unsafeFromForeignPtr0` Vector.length w) <$> copied "freezeST" w)
{-# INLINE freezeST #-}

-- | 'generateM' in 'ST'.
--
-- >>> runST (M.generateST 3 (\i -> pure (10 * i)))
-- [0,10,20]
--
-- @since 0.1.0.0
generateST :: Storable a => Int -> (Int -> ST s a) -> ST s (Vector a)
generateST = generateSTFor "generateST"
{-# INLINE generateST #-}

generateSTFor :: Storable a => String -> Int -> (Int -> ST s a) -> ST s (Vector a)
generateSTFor name n f
  | n <= 0 = pure Vector.empty
  | otherwise = do
      v <- unsafeIOToST ((`Mutable.unsafeFromForeignPtr0` n) <$> newMany name n)
      let go !i | i >= n = Vector.unsafeFreeze v
                | otherwise = f i >>= Mutable.unsafeWrite v i >> go (i + 1)
      go 0
{-# INLINE generateSTFor #-}

-- | 'replicateM' in 'ST'.
--
-- >>> runST (M.replicateST 3 (pure 'x'))
-- "xxx"
--
-- @since 0.1.0.0
replicateST :: Storable a => Int -> ST s a -> ST s (Vector a)
replicateST n act = generateSTFor "replicateST" n (const act)
{-# INLINE replicateST #-}

copied :: forall a. Storable a => String -> Vector a -> IO (ForeignPtr a)
copied name v = do
  fp <- newMany name (Vector.length v)
  withForeignPtr fp $ \p -> Vector.unsafeWith v $ \q ->
    copyMuch (castPtr p) (castPtr q) (Vector.length v * sizeOf (undefined :: a))
  pure fp
{-# INLINE copied #-}

-- | The vector of what there is, which keeps the block; what the block has left over is given back when it is
-- more than half. The growable vector is empty then, and may go on.
--
-- >>> g <- M.newGrowable 0 :: IO (M.Growable Char)
-- >>> mapM_ (M.push g) "abc"
-- >>> (,) <$> M.takeVector g <*> M.growableLength g
-- ("abc",0)
--
-- @since 0.1.0.0
takeVector :: Storable a => Growable a -> IO (Vector a)
takeVector g = masked $ do
  (p, n) <- takeBlock g
  if n == 0 then pure Vector.empty else (`unsafeFromForeignPtr0` n) <$> adoptBlock p
{-# INLINE takeVector #-}

-- | A copy of what there is.
--
-- >>> g <- M.newGrowable 0 :: IO (M.Growable Int)
-- >>> M.extend g (Vector.fromList [1, 2, 3])
-- >>> (,) <$> M.freezeGrowable g <*> M.growableLength g
-- ([1,2,3],3)
--
-- @since 0.1.0.0
freezeGrowable :: Storable a => Growable a -> IO (Vector a)
freezeGrowable g = withGrowable g $ \p n -> if n == 0 then pure Vector.empty else do
  fp <- newMany "freezeGrowable" n
  withForeignPtr fp $ \q -> copyElements q p n
  pure (unsafeFromForeignPtr0 fp n)
{-# INLINE freezeGrowable #-}

-- | Appends all elements of a vector.
--
-- >>> g <- M.newGrowable 0 :: IO (M.Growable Char)
-- >>> M.push g 'a' >> M.extend g (Vector.fromList "bcd")
-- >>> M.takeVector g
-- "abcd"
--
-- @since 0.1.0.0
extend :: Storable a => Growable a -> Vector a -> IO ()
extend g v = Vector.unsafeWith v $ \p -> appendElements "extend" g p (Vector.length v)
{-# INLINE extend #-}

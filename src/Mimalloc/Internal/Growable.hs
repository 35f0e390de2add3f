{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- |
-- Vectors that grow by realloc: in place, or by remapping pages, when it can.
--
-- A growable vector is one small block, the /box/: the elements' address, how many there are and how many
-- fit. Its one finalizer frees the block of the elements, wherever that is by then, and the box.
--
-- An element may be lazy, also in its fields, and what is evaluated may use the very vector: push to it, so
-- that its block moves. So an element is first poked to the /scratch/, a place in the box for one element;
-- then the box is read, and the element is copied. Where the scratch was used by somebody else meanwhile,
-- which a count tells, the element is poked once more, elsewhere.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Growable
  ( Growable
  , newGrowable
  , growableLength
  , growableCapacity
  , readGrowable
  , writeGrowable
  , push
  , pop
  , reserve
  , truncateGrowable
  , modifyGrowable
  , forGrowable
  , foldGrowable
    -- * For vectors
    -- | Failures are reported under the name that is given.
  , newGrowableFor
  , pushFor
  , withGrowable
  , appendElements
  , fillElements
  , copyElements
  , takeBlock
  ) where

import Control.DeepSeq (NFData (..))
import Control.Monad (unless, when)
import Data.Word (Word16, Word32, Word64, Word8)
import Foreign.ForeignPtr (ForeignPtr, withForeignPtr)
import Foreign.Marshal.Alloc (allocaBytesAligned)
import Foreign.Marshal.Array (advancePtr)
import Foreign.Ptr (Ptr, castPtr, nullPtr, plusPtr)
import Foreign.Storable (Storable (..))
import GHC.ForeignPtr (unsafeWithForeignPtr)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Bytes (copyMuch)
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Numbers (blockAlignment, boxBlock)
import Mimalloc.Primitive (mi_realloc, mi_realloc_aligned)

-- | A vector that grows at its end. It is not for several threads at once, and less than a mutable vector is:
-- while one pushes, reserves or takes the block, another would read, or write to, memory that is free. Two
-- threads that share one hold a lock.
--
-- @since 0.1.0.0
newtype Growable a = Growable (ForeignPtr (Box a))

-- | It is equal to itself only, as an @IORef@ is.
--
-- @since 0.1.0.0
instance Eq (Growable a) where
  Growable a == Growable b = a == b

-- | Its elements are what they are: it is evaluated as far as it can be.
--
-- @since 0.1.0.0
instance NFData (Growable a) where
  rnf g = g `seq` ()

-- Three words, the first for C, too. Behind them are the number of times that the scratch was used, and the
-- scratch.
data Box a = Box !(Ptr a) !Int !Int
instance Storable (Box a) where
  sizeOf _ = 24
  alignment _ = 8
  peek b = Box <$> peekByteOff b boxBlock <*> peekByteOff b 8 <*> peekByteOff b 16
  poke b (Box p n room) = pokeByteOff b boxBlock p >> pokeByteOff b 8 n >> pokeByteOff b 16 room
  {-# INLINE peek #-}
  {-# INLINE poke #-}

-- | An empty one with room for so many elements. With 0 it takes memory when it is needed.
--
-- >>> g <- newGrowable 100 :: IO (Growable Int)
-- >>> (,) <$> growableLength g <*> fmap (>= 100) (growableCapacity g)
-- (0,True)
--
-- @since 0.1.0.0
newGrowable :: Storable a => Int -> IO (Growable a)
newGrowable = newGrowableFor "newGrowable"
{-# INLINABLE newGrowable #-}

newGrowableFor :: forall a. Storable a => String -> Int -> IO (Growable a)
newGrowableFor name room
  | room < 0 = negativeSize name room
  | otherwise = do
      relieved
      fp <- newBlockInto mi_cap_free_box_finalizer $ \place ->
        alignedBytes (capabilityInto place name) Zeros (scratchOffset x + sizeOf x) (scratchAlignment x)
      let g = Growable fp
      g <$ when (room > 0) (resize name g room)
  where x = undefined :: a
{-# INLINABLE newGrowableFor #-}

-- | How many elements there are.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abc"
-- >>> growableLength g
-- 3
--
-- @since 0.1.0.0
growableLength :: Growable a -> IO Int
growableLength (Growable fp) = unsafeWithForeignPtr fp (`peekByteOff` 8)
{-# INLINE growableLength #-}

-- | How many elements fit before it has to grow.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> reserve g 1000
-- >>> (>= 1000) <$> growableCapacity g
-- True
--
-- @since 0.1.0.0
growableCapacity :: Growable a -> IO Int
growableCapacity (Growable fp) = unsafeWithForeignPtr fp $ \b -> peek b >>= \(Box _ _ room) -> pure room
{-# INLINE growableCapacity #-}

-- | The element of this index, from 0. An invalid argument if there is none.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abc"
-- >>> readGrowable g 1
-- 'b'
-- >>> readGrowable g 3
-- *** Exception: readGrowable: invalid argument (index 3 of 3 elements)
--
-- @since 0.1.0.0
readGrowable :: Storable a => Growable a -> Int -> IO a
readGrowable (Growable fp) i = unsafeWithForeignPtr fp $ \b -> do
  -- Two words only: what is read is loaded, also if it is not used.
  n <- peekByteOff b 8
  if isOutside i n then badIndex "readGrowable" i n else peekByteOff b 0 >>= (`peekElemOff` i)
{-# INLINE readGrowable #-}

-- | Replaces the element of this index, when the new one is evaluated. An invalid argument if there is none
-- then.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abc"
-- >>> writeGrowable g 1 'x' >> readGrowable g 1
-- 'x'
--
-- @since 0.1.0.0
writeGrowable :: Storable a => Growable a -> Int -> a -> IO ()
writeGrowable (Growable fp) i x = unsafeWithForeignPtr fp $ \b -> do
  alone <- toScratch b x
  unless alone $ toScratchAgain b x
  Box p n _ <- peek b
  if isOutside i n then badIndex "writeGrowable" i n else fromScratch b p i
{-# INLINE writeGrowable #-}

-- | Appends an element. Twice the room when there is none left, so that n elements cost on the order of n
-- steps. The element is evaluated first, all that its 'poke' asks for. What is evaluated may push, too: this
-- element comes behind those.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abcd"
-- >>> growableLength g
-- 4
--
-- @since 0.1.0.0
push :: Storable a => Growable a -> a -> IO ()
push = pushFor "push"
{-# INLINE push #-}

pushFor :: Storable a => String -> Growable a -> a -> IO ()
pushFor name g@(Growable fp) x = unsafeWithForeignPtr fp $ \b -> do
  alone <- toScratch b x
  Box p n room <- peek b
  if n < room && alone then fromScratch b p n >> setLength b (n + 1) else pushSlowly name g x alone
{-# INLINE pushFor #-}

pushSlowly :: Storable a => String -> Growable a -> a -> Bool -> IO ()
pushSlowly name g@(Growable fp) x alone = withForeignPtr fp $ \b -> do
  unless alone $ toScratchAgain b x
  Box _ n room <- peek b
  when (n >= room) $ makeRoom name g (n + 1)
  Box p _ _ <- peek b
  fromScratch b p n
  setLength b (n + 1)
{-# INLINABLE pushSlowly #-}

-- | Takes the last element off; 'Nothing' if there is none. The room stays.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abcd"
-- >>> pop g
-- Just 'd'
--
-- @since 0.1.0.0
pop :: Storable a => Growable a -> IO (Maybe a)
pop (Growable fp) = unsafeWithForeignPtr fp $ \b -> do
  Box p n _ <- peek b
  if n == 0 then pure Nothing else do
    x <- peekElemOff p (n - 1)
    Just x <$ setLength b (n - 1)
{-# INLINE pop #-}

-- | Room for so many elements in all.
--
-- >>> g <- newGrowable 0 :: IO (Growable Int)
-- >>> reserve g 1000 >> fmap (>= 1000) (growableCapacity g)
-- True
--
-- @since 0.1.0.0
reserve :: Storable a => Growable a -> Int -> IO ()
reserve g room
  | room < 0 = negativeSize "reserve" room
  | otherwise = do
      old <- growableCapacity g
      when (room > old) $ resize "reserve" g room
{-# INLINABLE reserve #-}

-- | Replaces the element of this index by what the function makes of it. An invalid argument if there is
-- none.
--
-- >>> g <- newGrowable 0 :: IO (Growable Int)
-- >>> mapM_ (push g) [1, 2, 3]
-- >>> modifyGrowable g 1 (* 10) >> readGrowable g 1
-- 20
--
-- @since 0.1.0.0
modifyGrowable :: Storable a => Growable a -> Int -> (a -> a) -> IO ()
modifyGrowable (Growable fp) i f = withForeignPtr fp $ \b -> do
  Box p n _ <- peek b
  when (isOutside i n) $ badIndex "modifyGrowable" i n
  x <- f <$> peekElemOff p i
  alone <- toScratch b x
  unless alone $ toScratchAgain b x
  Box q m _ <- peek b
  if isOutside i m then badIndex "modifyGrowable" i m else fromScratch b q i
{-# INLINE modifyGrowable #-}

-- | Does something with each element and its index, in order. Elements that are pushed meanwhile come too.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "ab"
-- >>> forGrowable g (curry print)
-- (0,'a')
-- (1,'b')
--
-- @since 0.1.0.0
forGrowable :: Storable a => Growable a -> (Int -> a -> IO ()) -> IO ()
forGrowable g f = go 0
  where
    go i = growableLength g >>= \n -> if i >= n then pure () else readGrowable g i >>= f i >> go (i + 1)
{-# INLINE forGrowable #-}

-- | A strict left fold over the elements.
--
-- >>> g <- newGrowable 0 :: IO (Growable Int)
-- >>> mapM_ (push g) [1, 2, 3]
-- >>> foldGrowable g (\s x -> pure (s + x)) 0
-- 6
--
-- @since 0.1.0.0
foldGrowable :: Storable a => Growable a -> (b -> a -> IO b) -> b -> IO b
foldGrowable g f = go 0
  where
    go i !acc = growableLength g >>= \n ->
      if i >= n then pure acc else readGrowable g i >>= f acc >>= go (i + 1)
{-# INLINE foldGrowable #-}

-- | Keeps the first so many elements. An invalid argument if there are fewer.
--
-- >>> g <- newGrowable 0 :: IO (Growable Char)
-- >>> mapM_ (push g) "abcd"
-- >>> truncateGrowable g 2 >> growableLength g
-- 2
--
-- @since 0.1.0.0
truncateGrowable :: Growable a -> Int -> IO ()
truncateGrowable (Growable fp) n = unsafeWithForeignPtr fp $ \b -> do
  Box _ old _ <- peek b
  if n < 0 || n > old then badIndex "truncateGrowable" n old else setLength b n

-- Is this no index of so many elements? One comparison: what is below zero is large without its sign.
isOutside :: Int -> Int -> Bool
isOutside i n = (fromIntegral i :: Word) >= fromIntegral n
{-# INLINE isOutside #-}

setLength :: Ptr (Box a) -> Int -> IO ()
setLength b n = pokeByteOff b 8 n
{-# INLINE setLength #-}

-- An alignment that is no power of two has no blocks, so it needs no scratch of its own.
scratchAlignment :: Storable a => a -> Int
scratchAlignment x = if align > blockAlignment && isPowerOfTwo align then align else blockAlignment
  where align = alignment x
{-# INLINE scratchAlignment #-}

scratchOffset :: Storable a => a -> Int
scratchOffset x = 32 `max` scratchAlignment x
{-# INLINE scratchOffset #-}

scratch :: forall a. Storable a => Ptr (Box a) -> Ptr a
scratch b = b `plusPtr` scratchOffset (undefined :: a)
{-# INLINE scratch #-}

-- Pokes the element to the scratch. False: others used that meanwhile, so it is to be done again.
toScratch :: Storable a => Ptr (Box a) -> a -> IO Bool
toScratch b x = do
  uses <- peekByteOff b 24
  pokeByteOff b 24 (uses + 1 :: Int)
  poke (scratch b) x
  now <- peekByteOff b 24
  pure (now == uses + 1)
{-# INLINE toScratch #-}

-- The same, once for all.
toScratchAgain :: forall a. Storable a => Ptr (Box a) -> a -> IO ()
toScratchAgain b x = allocaBytesAligned (sizeOf x) (scratchAlignment x) $ \p -> do
  poke p x
  copyElements (scratch b) p 1
{-# NOINLINE toScratchAgain #-}

-- Copies the element to its place. No call for the usual sizes.
fromScratch :: forall a. Storable a => Ptr (Box a) -> Ptr a -> Int -> IO ()
fromScratch b p i = case sizeOf (undefined :: a) of
  1 -> as (0 :: Word8)
  2 -> as (0 :: Word16)
  4 -> as (0 :: Word32)
  8 -> as (0 :: Word64)
  _ -> copyElements (p `advancePtr` i) (scratch b) 1
  where
    as :: forall w. Storable w => w -> IO ()
    as _ = (peek (castPtr (scratch b)) :: IO w) >>= pokeElemOff (castPtr p) i
{-# INLINE fromScratch #-}

-- | The elements, which must not grow meanwhile.
withGrowable :: Growable a -> (Ptr a -> Int -> IO b) -> IO b
withGrowable (Growable fp) act = withForeignPtr fp $ \b -> peek b >>= \(Box p n _) -> act p n

-- | Appends so many elements from elsewhere; they may be of the same vector only if it has room for them.
appendElements :: Storable a => String -> Growable a -> Ptr a -> Int -> IO ()
appendElements name g@(Growable fp) from more = withForeignPtr fp $ \b -> when (more > 0) $ do
  Box _ n room <- peek b
  when (more > room - n) $
    if more > maxBound - n then sizeOverflow name more n else makeRoom name g (n + more)
  Box p _ _ <- peek b
  copyElements (p `advancePtr` n) from more
  setLength b (n + more)
{-# INLINABLE appendElements #-}

-- | Room for so many more elements, of which the action writes some; it says how many, and so does the
-- result.
fillElements :: Storable a => String -> Growable a -> Int -> (Ptr a -> IO Int) -> IO Int
fillElements name g@(Growable fp) more fill = withForeignPtr fp $ \b -> do
  Box _ n room <- peek b
  when (more < 0) $ negativeSize name more
  when (more > room - n) $
    if more > maxBound - n then sizeOverflow name more n else makeRoom name g (n + more)
  Box p _ _ <- peek b
  k <- fill (p `advancePtr` n)
  when (k < 0 || k > more) $ badLength name k more
  k <$ setLength b (n + k)
{-# INLINABLE fillElements #-}

-- | So many elements, to and from.
copyElements :: forall a. Storable a => Ptr a -> Ptr a -> Int -> IO ()
copyElements to from n = copyMuch (castPtr to) (castPtr from) (n * sizeOf (undefined :: a))
{-# INLINE copyElements #-}

-- At least so many, and at least twice what was.
makeRoom :: Storable a => String -> Growable a -> Int -> IO ()
makeRoom name g least = do
  room <- growableCapacity g
  resize name g (max (max 4 least) (if room > maxBound `quot` 2 then least else 2 * room))
{-# INLINABLE makeRoom #-}

-- Masked, but in a transaction; and the box is empty meanwhile: a transaction (STM) that is dropped here
-- loses the block, but its finalizer frees nothing that realloc has freed.
resize :: forall a. Storable a => String -> Growable a -> Int -> IO ()
resize name (Growable fp) room
  | size > 0 && room > maxBound `quot` size = sizeOverflow name room size
  | align > blockAlignment && not (isPowerOfTwo align) = badAlignment name align
  | otherwise = withForeignPtr fp $ \b -> masked $ do
      old@(Box p n _) <- peek b
      held <- mi_cap_held p
      q <- orNoMemory name total $ do
        poke b (Box nullPtr 0 0)
        q <- resizedTo align p total
        q <$ when (q == nullPtr) (poke b old)
      poke b (Box q n room)
      mi_cap_reheld held q
  where
    size = sizeOf (undefined :: a)
    align = alignment (undefined :: a)
    total = room * size
{-# INLINABLE resize #-}

-- | The elements' block, which is the caller's now, and their number: 0 and null if there is none. Masked by
-- the caller.
takeBlock :: forall a. Storable a => Growable a -> IO (Ptr a, Int)
takeBlock (Growable fp) = withForeignPtr fp $ \b -> do
  Box p n room <- peek b
  poke b (Box nullPtr 0 0)
  held <- mi_cap_held p
  mi_cap_reheld held nullPtr
  if n == 0 then (nullPtr, 0) <$ mi_cap_free p else do
    q <- if n == room then pure p else shrink p (n * sizeOf (undefined :: a))
    pure (if q == nullPtr then p else q, n)
  where
    shrink = resizedTo (alignment (undefined :: a))
{-# INLINABLE takeBlock #-}

-- The block with so many bytes at so much alignment; null if there is no memory for it.
resizedTo :: Int -> Ptr a -> Int -> IO (Ptr a)
resizedTo align p total
  | align <= blockAlignment = mi_realloc p (fromIntegral total)
  | otherwise = mi_realloc_aligned p (fromIntegral total) (fromIntegral align)
{-# INLINE resizedTo #-}

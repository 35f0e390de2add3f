{-# LANGUAGE BangPatterns #-}
-- |
-- Strings by the hundred thousand, kept outside GHC's heap and named by handles.
--
-- A byte string costs a foreign pointer: words in GHC's heap that each major collection copies, and, if the
-- block is ours, a weak pointer. A /store/ holds the strings themselves, and nothing of them is in GHC's
-- heap: they are put in, got (as copies), replaced and deleted one by one, by a t'Handle' of 8 bytes. A
-- deleted string's memory is free at once. The garbage collector sees one object, and frees all that is left
-- when the store is not reachable any more.
--
-- For caches and indices whose entries come and go for as long as the program runs. Keep the handles in what
-- is no list of boxes if there are many: t'Handle' is 'Storable'.
--
-- * All functions may be called from any thread, by many at once. They wait for each other.
-- * A handle whose string was deleted is an invalid argument ('Mimalloc.isInvalidArgument'), thrown, too,
--   when another string has its place (up to 2^32 times). The handle of another store may name a string of
--   this one.
-- * Want of memory is 'Mimalloc.isResourceExhausted'. No asynchronous exception leaks a string.
-- * A /Haskell/ finalizer that deletes a string (@mkWeakIORef r (deleteString store h)@) needs something else
--   that holds the store, such as a global variable. If the store dies together with what the finalizer
--   belongs to, it is ended first, and its memory is free.
--
-- >>> store <- newStore
-- >>> h <- putString store "some text"
-- >>> replaceString store h "some other text"
-- >>> getString store h
-- "some other text"
-- >>> deleteString store h
-- >>> getString store h
-- *** Exception: getString: invalid argument (no string has this handle)
--
-- @since 0.1.0.0
module Mimalloc.Store
  ( Store
  , newStore
  , Handle
  , putString
  , getString
  , replaceString
  , deleteString
  , storeSize
  ) where

import Control.Concurrent.MVar (MVar, newMVar, putMVar, takeMVar)
import Control.DeepSeq (NFData (..))
import Control.Exception (mask_, onException)
import Data.Bits (shiftL, shiftR, (.&.), (.|.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Unsafe as Unsafe
import Data.IORef (IORef, atomicModifyIORef', newIORef, readIORef, writeIORef)
import Data.Word (Word32, Word64, Word8)
import Foreign.Ptr (Ptr, castPtr, minusPtr, nullPtr, plusPtr)
import Foreign.Storable (Storable (..))
import GHC.Exts (RealWorld)

import Mimalloc.Internal.Bytes (copyMuch)
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Heap

-- $setup
-- >>> :set -XOverloadedStrings

-- | Strings.
--
-- @since 0.1.0.0
data Store = Store !(Heap RealWorld) !(IORef Lock) !(IORef Table)

-- | It is evaluated as far as it can be.
--
-- @since 0.1.0.0
instance NFData Store where
  rnf store = store `seq` ()

-- Of the process with that many forks among its ancestors and itself. In a forked process who had it is gone,
-- and there is another.
data Lock = Lock !Word32 !(MVar ())

-- | It is equal to itself only, as an @IORef@ is.
--
-- @since 0.1.0.0
instance Eq Store where
  Store a _ _ == Store b _ _ = a == b

-- The slots, how many there are, how many were ever used, the first free one and how many strings there are.
-- A slot has two words: its string's block, or the next free slot; and its generation, which is odd while it
-- has a string. Slot numbers have 32 bits.
data Table = Table !(Ptr Word64) !Int !Int !Int !Int

-- A string's block: its length and its bytes.
type Block = Ptr Word64

-- | Names a string of a store: 8 bytes.
--
-- @since 0.1.0.0
newtype Handle = Handle Word64 deriving (Eq, Ord, Show)

-- | All of it is evaluated.
--
-- @since 0.1.0.0
instance NFData Handle where
  rnf (Handle w) = rnf w

-- | For vectors and arrays of them.
--
-- @since 0.1.0.0
instance Storable Handle where
  sizeOf _ = 8
  alignment _ = 8
  peek p = Handle <$> peek (castPtr p)
  poke p (Handle w) = poke (castPtr p) w

-- | An empty store.
--
-- >>> store <- newStore
-- >>> storeSize store
-- 0
--
-- @since 0.1.0.0
newStore :: IO Store
newStore = do
  heap <- newHeapOfBlocks "newStore"
  lock <- newLock
  Store heap <$> newIORef lock <*> newIORef (Table nullPtr 0 0 (-1) 0)

-- | Puts a string in: a copy.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> getString store h
-- "abc"
--
-- @since 0.1.0.0
putString :: Store -> ByteString -> IO Handle
putString store@(Store heap _ _) !s = mask_ $ do
  block <- newString "putString" heap s
  r <- (`onException` freeString heap block) $ locked store $ \table -> do
    roomy <- withRoom store table
    case roomy of
      Nothing -> pure Nothing
      Just (Table slots room used free n) -> do
        let i = if free >= 0 then free else used
        next <- if free >= 0 then peekElemOff slots (2 * i) else pure 0
        generation <- if free >= 0 then peekElemOff slots (2 * i + 1)
          else 0 <$ pokeElemOff slots (2 * i + 1) 0
        setTable store $
          if free >= 0 then Table slots room used (fromIntegral next - 1) (n + 1)
            else Table slots room (used + 1) free (n + 1)
        pokeElemOff slots (2 * i) (address block)
        pokeElemOff slots (2 * i + 1) ((generation + 1) .&. 0xffffffff)
        pure (Just (Handle (((generation + 1) .&. 0xffffffff) `shiftL` 32 .|. fromIntegral i)))
  maybe (freeString heap block >> noMemory "putString" 16) pure r

-- | The string: a copy, in GHC's heap.
--
-- >>> store <- newStore
-- >>> putString store "abc" >>= getString store
-- "abc"
--
-- @since 0.1.0.0
getString :: Store -> Handle -> IO ByteString
getString !store !h = do
  r <- mask_ $ locked store $ \table -> do
    found <- slotOf table h
    case found of
      Nothing -> pure Nothing
      Just slot -> do
        block <- blockIn slot
        n <- fromIntegral <$> peek block
        Just <$> Internal.create n (\p -> copyMuch p (block `plusPtr` 8) n)
  maybe (noString "getString") pure r

-- | Another string in its place, by the same handle.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> replaceString store h "longer" >> getString store h
-- "longer"
--
-- @since 0.1.0.0
replaceString :: Store -> Handle -> ByteString -> IO ()
replaceString store@(Store heap _ _) !h !s = mask_ $ do
  block <- newString "replaceString" heap s
  old <- (`onException` freeString heap block) $ locked store $ \table -> do
    found <- slotOf table h
    case found of
      Nothing -> pure nullPtr
      Just slot -> blockIn slot <* poke slot (address block)
  if old == nullPtr then freeString heap block >> noString "replaceString" else freeString heap old

-- | Takes a string out; its memory is free.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> deleteString store h >> storeSize store
-- 0
--
-- @since 0.1.0.0
deleteString :: Store -> Handle -> IO ()
deleteString store@(Store heap _ _) !h@(Handle w) = mask_ $ do
  old <- locked store $ \table@(Table slots room used free n) -> do
    found <- slotOf table h
    case found of
      Nothing -> pure nullPtr
      Just slot -> do
        block <- blockIn slot
        pokeElemOff slot 1 ((w `shiftR` 32 + 1) .&. 0xffffffff)
        poke slot (fromIntegral (free + 1))
        block <$ setTable store (Table slots room used (fromIntegral (w .&. 0xffffffff)) (n - 1))
  if old == nullPtr then noString "deleteString" else freeString heap old

-- | How many strings there are.
--
-- >>> store <- newStore
-- >>> mapM_ (putString store) ["a", "b", "c"]
-- >>> storeSize store
-- 3
--
-- @since 0.1.0.0
storeSize :: Store -> IO Int
storeSize !store = mask_ $ locked store $ \(Table _ _ _ _ n) -> pure n

-- Masked by the caller, who has evaluated what he was given: that may take long, and throw. Waiting for the
-- lock is interruptible. The action throws nothing and waits for nothing, so it comes to its end; but in a
-- process that is forked meanwhile. There a slot and what the table says agree after each step; what the
-- thread that is gone was about to put or take out may be lost.
locked :: Store -> (Table -> IO r) -> IO r
locked (Store heap current box) act = do
  Lock forks lock <- readIORef current
  now <- peek hs_mi_forks
  mine <- if forks == now then pure lock else newLockFor current now
  takeMVar mine
  r <- readIORef box >>= act
  putMVar mine ()
  r <$ touchHeap heap
{-# INLINE locked #-}

newLock :: IO Lock
newLock = Lock <$> peek hs_mi_forks <*> newMVar ()

-- Of two threads of the forked process one makes it.
newLockFor :: IORef Lock -> Word32 -> IO (MVar ())
newLockFor current now = do
  new <- newLock
  Lock _ lock <- atomicModifyIORef' current $ \old@(Lock forks _) ->
    if forks == now then (old, old) else (new, new)
  pure lock
{-# NOINLINE newLockFor #-}

setTable :: Store -> Table -> IO ()
setTable (Store _ _ box) table = writeIORef box $! table
{-# INLINE setTable #-}

newString :: String -> Heap RealWorld -> ByteString -> IO Block
newString name heap s = do
  block <- heapBlock name heap (n + 8)
  poke block (fromIntegral n)
  block <$ Unsafe.unsafeUseAsCString s (\p -> copyMuch (block `plusPtr` 8) (castPtr p :: Ptr Word8) n)
  where n = ByteString.length s
{-# INLINE newString #-}

-- Also as the last that is done with a store: its finalizer frees all that is left.
freeString :: Heap RealWorld -> Block -> IO ()
freeString heap block = mi_cap_free block >> touchHeap heap
{-# INLINE freeString #-}

-- The slot of a string that is there.
slotOf :: Table -> Handle -> IO (Maybe (Ptr Word64))
slotOf (Table slots _ used _ _) (Handle w)
  | i >= used = pure Nothing
  | otherwise = do
      generation <- peekElemOff slots (2 * i + 1)
      let isThere = generation == w `shiftR` 32 && odd generation
      pure (if isThere then Just (slots `plusPtr` (16 * i)) else Nothing)
  where i = fromIntegral (w .&. 0xffffffff)
{-# INLINE slotOf #-}

blockIn :: Ptr Word64 -> IO Block
blockIn slot = (\a -> nullPtr `plusPtr` fromIntegral a) <$> peek slot
{-# INLINE blockIn #-}

address :: Block -> Word64
address p = fromIntegral (p `minusPtr` nullPtr)
{-# INLINE address #-}

-- A table with a free slot, which is the store's now; nothing if there is no memory for it.
withRoom :: Store -> Table -> IO (Maybe Table)
withRoom store@(Store heap _ _) table@(Table slots room used free n)
  | free >= 0 || used < room = pure (Just table)
  | more > 4294967296 = pure Nothing
  | otherwise = do
      new <- usingHeap "putString" heap $ \p -> mi_heap_resize_safe p nullPtr (16 * fromIntegral more) 0 0 0
      let larger = Table new more used free n
      if new == nullPtr then pure Nothing else do
        copyMuch (castPtr new) (castPtr slots :: Ptr Word8) (16 * used)
        setTable store larger
        Just larger <$ mi_cap_free slots
  where more = max 64 (room * 2)

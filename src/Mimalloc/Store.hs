{-# LANGUAGE BangPatterns #-}
-- |
-- Strings by the hundred thousand, kept outside GHC's heap and named by handles.
--
-- A byte string costs a foreign pointer: words in GHC's heap that each major collection copies, and, if the
-- block is ours, a weak pointer. A /store/ holds the strings themselves, and nothing of them is in GHC's
-- heap: they are put in, got (as copies), replaced and deleted one by one, by a t'StringHandle' of 8 bytes. A
-- deleted string's memory is free at once. The garbage collector sees one object, and frees all that is left
-- when the store is not reachable any more.
--
-- For caches and indices whose entries come and go for as long as the program runs. Keep the handles in what
-- is no list of boxes if there are many: t'StringHandle' is 'Storable'.
--
-- * All functions may be called from any thread, by many at once. Nobody waits while another copies.
-- * A handle whose string was deleted is an invalid argument ('Mimalloc.isInvalidArgument'), thrown, too,
--   when another string has its place (up to 2^31 times). The handle of another store may name a string of
--   this one.
-- * Want of memory is 'Mimalloc.isResourceExhausted'. No asynchronous exception leaks a string.
-- * A transaction (STM) has no end that is sure to come: GHC begins it again wherever it is, and does again
--   what these functions did. What one was about to put in then, or was copying, is free when the store ends,
--   a copied string that is deleted later, too. So it is with an exception from outside there, since in a
--   transaction no function here masks: GHC would leave the thread masked.
-- * They may stand in pure code (an interning table's @unsafePerformIO (putString store s)@): a value that a
--   timeout or @killThread@ interrupts is not that exception for ever.
-- * A /Haskell/ finalizer that deletes a string (@mkWeakIORef r (deleteString store h)@) needs something else
--   that holds the store, such as a global variable. If the store dies together with what the finalizer
--   belongs to, it is ended first, and its memory is free.
--
-- The names are none of base's:
--
-- >>> :set -XOverloadedStrings
-- >>> import System.IO
-- >>> import Mimalloc.Store
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
  , StringHandle
  , putString
  , getString
  , replaceString
  , deleteString
  , storeSize
    -- * What the examples import
    -- $setup
  ) where

import Control.DeepSeq (NFData (..))
import Control.Exception (onException)
import Control.Monad (unless, when)
import Data.Bits ((.&.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Unsafe as Unsafe
import Data.Word (Word64, Word8)
import Foreign.Ptr (Ptr, castPtr, nullPtr, plusPtr)
import Foreign.Storable (Storable (..))
import GHC.Exts (RealWorld)

import Mimalloc.Internal.Alloc (masked)
import Mimalloc.Internal.Bracket (inTransaction)
import Mimalloc.Internal.Bytes (copyMuch)
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Heap

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Store
-- >>> :set -XOverloadedStrings

-- | Strings.
--
-- @since 0.1.0.0
data Store = Store !(Heap RealWorld) !(Ptr MiStrings) -- what all blocks are of, the table of them

-- | It is evaluated as far as it can be.
--
-- @since 0.1.0.0
instance NFData Store where
  rnf store = store `seq` ()

-- | It is equal to itself only, as an @IORef@ is.
--
-- @since 0.1.0.0
instance Eq Store where
  Store a _ == Store b _ = a == b

-- A string's block: its length, and what C adds to that above, and its bytes.
type Block = Ptr Word64

-- | Names a string of a store: 8 bytes.
--
-- @since 0.1.0.0
newtype StringHandle = StringHandle Word64 deriving (Eq, Ord, Show)

-- | All of it is evaluated.
--
-- @since 0.1.0.0
instance NFData StringHandle where
  rnf (StringHandle w) = rnf w

-- | For vectors and arrays of them.
--
-- @since 0.1.0.0
instance Storable StringHandle where
  sizeOf _ = 8
  alignment _ = 8
  peek p = StringHandle <$> peek (castPtr p)
  poke p (StringHandle w) = poke (castPtr p) w

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
  table <- heapBlock "newStore" heap (fromIntegral mi_strings_size)
  mi_strings_init table
  Store heap table <$ touchHeap heap

-- | Puts a string in: a copy.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> getString store h
-- "abc"
--
-- @since 0.1.0.0
putString :: Store -> ByteString -> IO StringHandle
putString store@(Store heap table) !s = masked go
  where
    go = do
      withRoom store
      block <- newString "putString" heap s
      handle <- mi_strings_put table block
      -- Others may have taken the room.
      if handle == 0 then mi_cap_free block >> go else StringHandle handle <$ touchHeap heap

-- | The string: a copy, in GHC's heap. If it is deleted or replaced while a transaction (STM) copies it that
-- GHC then begins again, its memory is free when the store ends.
--
-- >>> store <- newStore
-- >>> putString store "abc" >>= getString store
-- "abc"
--
-- @since 0.1.0.0
getString :: Store -> StringHandle -> IO ByteString
getString (Store heap table) (StringHandle !h) = masked $ do
  block <- mi_strings_get table h
  when (block == nullPtr) $ noString "getString"
  n <- lengthOf block
  dropped <- inTransaction
  let copy = Internal.create n (\p -> copyMuch p (block `plusPtr` 8) n)
  -- A string that GHC's heap has no room for (HeapOverflow). No exception comes from outside meanwhile. In a
  -- transaction one may, and a handler would not leave a lazy value as it was.
  s <- if dropped then copy else copy `onException` done block
  s <$ done block
  where done block = mi_strings_done table block >> touchHeap heap

-- | Another string in its place, by the same handle.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> replaceString store h "longer" >> getString store h
-- "longer"
--
-- @since 0.1.0.0
replaceString :: Store -> StringHandle -> ByteString -> IO ()
replaceString (Store heap table) (StringHandle !h) !s = masked $ do
  block <- newString "replaceString" heap s
  found <- mi_strings_replace table h block
  when (found == 0) $ mi_cap_free block
  touchHeap heap
  when (found == 0) $ noString "replaceString"

-- | Takes a string out; its memory is free.
--
-- >>> store <- newStore
-- >>> h <- putString store "abc"
-- >>> deleteString store h >> storeSize store
-- 0
--
-- @since 0.1.0.0
deleteString :: Store -> StringHandle -> IO ()
deleteString (Store heap table) (StringHandle !h) = do
  found <- mi_strings_delete table h
  touchHeap heap
  when (found == 0) $ noString "deleteString"

-- | How many strings there are.
--
-- >>> store <- newStore
-- >>> mapM_ (putString store) ["a", "b", "c"]
-- >>> storeSize store
-- 3
--
-- @since 0.1.0.0
storeSize :: Store -> IO Int
storeSize (Store heap table) = fromIntegral <$> mi_strings_count table <* touchHeap heap

-- What follows, and its callers, touch the heap behind the last use of what is in it: its finalizer frees all
-- that is left.

-- Masked by the caller, who has evaluated the string: that may take long, and throw. There is nothing to wait
-- for, so no exception comes from outside between this and the step that puts the block into the table, and
-- no handler is needed, which would not leave a lazy value as it was. (In a transaction one may come: the
-- block is free when the store ends.)
newString :: String -> Heap RealWorld -> ByteString -> IO Block
newString name heap s = do
  when (n > lengthMask) $ noMemory name n
  block <- heapBlock name heap (n + 8)
  poke block (fromIntegral n)
  block <$ Unsafe.unsafeUseAsCString s (\p -> copyMuch (block `plusPtr` 8) (castPtr p :: Ptr Word8) n)
  where n = ByteString.length s
{-# INLINE newString #-}

lengthOf :: Block -> IO Int
lengthOf block = (\head_ -> fromIntegral head_ .&. lengthMask) <$> peek block
{-# INLINE lengthOf #-}

-- MI_STRING_LENGTH_BITS
lengthMask :: Int
lengthMask = 1099511627775

-- Makes a free slot if there is none.
withRoom :: Store -> IO ()
withRoom (Store heap table) = do
  lacking <- mi_strings_lacks table
  when (lacking > 0) $ do
    when (lacking == maxBound) $ noMemory "putString" maxBound
    part <- heapBlock "putString" heap (fromIntegral lacking)
    added <- mi_strings_add table part lacking
    unless (added /= 0) $ mi_cap_free part
{-# INLINE withRoom #-}

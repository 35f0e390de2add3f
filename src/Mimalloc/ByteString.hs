-- |
-- Byte strings outside GHC's heap.
--
-- They are byte strings like all others: every function on byte strings works on them. What functions of bytestring make
-- of them shares the block (@take@, @drop@) or lies in GHC's heap (@append@, @map@). Use them for what lives long, where one
-- small byte string in GHC's pinned heap can hold a block of 4 KiB, and for what is large.
--
-- Common to all functions of this module:
--
-- * Sizes are in bytes. Blocks are aligned to 16 bytes. The garbage collector frees the block some time after its last use.
-- * They may be called from any Haskell thread, and no asynchronous exception leaks a block.
-- * A negative size is an invalid argument ('Mimalloc.isInvalidArgument'), want of memory 'Mimalloc.isResourceExhausted';
--   thrown, by pure functions, where the result is evaluated.
--
-- The module is meant to be imported qualified.
--
-- > import qualified Mimalloc.ByteString as M
--
-- @since 0.1.0.0
module Mimalloc.ByteString
  ( -- * Blocks as byte strings
    -- | Whoever makes one of these writes to it before anybody else sees it.
    mallocByteString
  , zallocByteString
  , heapMallocByteString
  , heapZallocByteString
    -- * Filled by an action
  , create
  , createUptoN
  , createAndTrim
    -- * From other data
  , copy
  , heapCopy
  , pack
  , concat
    -- * Reading
  , readFile
  , hGet
  , hGetSome
  , hGetContents
    -- * From and to C
  , unsafePackMallocByteString
  , unsafePackMallocCString
  , unsafePackMallocCStringLen
  , unsafeUseAsByteString
    -- * Builders
  , mallocStrategy
  , toLazyByteString
  ) where

import Prelude hiding (concat, readFile)

import Control.Exception (IOException, finally, mask_, try)
import Control.Monad (foldM_, when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (Builder)
import Data.ByteString.Builder.Extra (AllocationStrategy, toLazyByteStringWith)
import Data.ByteString.Builder.Internal (Buffer (..), BufferRange (..), customStrategy)
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Lazy as Lazy
import qualified Data.ByteString.Unsafe as Unsafe
import Data.Word (Word8)
import Foreign.C.String (CString, CStringLen)
import Foreign.ForeignPtr (withForeignPtr)
import Foreign.ForeignPtr.Unsafe (unsafeForeignPtrToPtr)
import Foreign.Ptr (Ptr, castPtr, nullPtr, plusPtr)
import Foreign.Storable (poke)
import GHC.IO (noDuplicate)
import System.IO (Handle, IOMode (..), hClose, hFileSize, hGetBuf, hGetBufSome, withBinaryFile)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Bytes
import Mimalloc.Internal.Error
import Mimalloc.Internal.Growable
import Mimalloc.Internal.Heap

-- $setup
-- >>> :set -XOverloadedStrings
-- >>> import qualified Data.ByteString as ByteString
-- >>> import Data.ByteString.Builder (intDec)
-- >>> import Data.ByteString.Builder.Extra (toLazyByteStringWith)
-- >>> import Foreign (peekArray, pokeArray)
-- >>> import Foreign.C (withCString)
-- >>> import Mimalloc (mi_malloc, mi_strdup)
-- >>> import Mimalloc.Heap
-- >>> import System.Directory (getTemporaryDirectory, removeFile)
-- >>> import System.IO (IOMode (..), openBinaryFile, withBinaryFile)
-- >>> import qualified Mimalloc.ByteString as M

-- | A byte string of so many bytes with whatever the block has in it. A byte string never changes, so this one is to be
-- written through its pointer ('unsafeUseAsByteString') before it is used as one; 'create' does both.
--
-- >>> ByteString.length <$> M.mallocByteString 100
-- 100
--
-- @since 0.1.0.0
mallocByteString :: Int -> IO ByteString
mallocByteString n = (`fromBlock` n) <$> newBytes "mallocByteString" n

-- | A byte string of so many zeros.
--
-- >>> M.zallocByteString 3
-- "\NUL\NUL\NUL"
--
-- @since 0.1.0.0
zallocByteString :: Int -> IO ByteString
zallocByteString n = (`fromBlock` n) <$> newBlock (bytes "zallocByteString" Zeros n)

-- | 'mallocByteString' from a heap. How long it lives is said in "Mimalloc.Heap".
--
-- >>> heap <- newHeap
-- >>> ByteString.length <$> M.heapMallocByteString heap 100
-- 100
--
-- @since 0.1.0.0
heapMallocByteString :: Heap s -> Int -> IO ByteString
heapMallocByteString heap n = (`fromBlock` n) <$> newHeapBlock heap (heapBytes "heapMallocByteString" Whatever heap n)

-- | 'zallocByteString' from a heap.
--
-- >>> withHeap $ \heap -> M.heapZallocByteString heap 3
-- "\NUL\NUL\NUL"
--
-- @since 0.1.0.0
heapZallocByteString :: Heap s -> Int -> IO ByteString
heapZallocByteString heap n = (`fromBlock` n) <$> newHeapBlock heap (heapBytes "heapZallocByteString" Zeros heap n)

-- | A byte string of so many bytes that the action writes, all of them.
--
-- >>> M.create 3 $ \p -> pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
create :: Int -> (Ptr Word8 -> IO ()) -> IO ByteString
create n fill = do
  fp <- newBytes "create" n
  withForeignPtr fp fill
  pure (fromBlock fp n)
{-# INLINE create #-}

-- | A block of so many bytes of which the action fills some; it returns how many. The byte string holds the whole block. A
-- number that is negative or too large is an invalid argument.
--
-- >>> M.createUptoN 10 $ \p -> 3 <$ pokeArray p [97, 98, 99]
-- "abc"
-- >>> M.createUptoN 10 $ \_ -> pure 11
-- *** Exception: createUptoN: invalid argument (length 11 of 10)
--
-- @since 0.1.0.0
createUptoN :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString
createUptoN room fill = do
  fp <- newBytes "createUptoN" room
  n <- withForeignPtr fp fill
  when (n < 0 || n > room) $ badLength "createUptoN" n room
  pure (fromBlock fp n)
{-# INLINE createUptoN #-}

-- | The same, but what is left over is given back, when it is more than half of the block.
--
-- >>> M.createAndTrim 100000 $ \p -> 3 <$ pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
createAndTrim :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString
createAndTrim = trimmed "createAndTrim"

-- | A copy in a block of its own. It frees a small piece from the large one it was cut from, and what lives long from GHC's
-- pinned heap.
--
-- >>> M.copy (ByteString.take 5 "hello, world")
-- "hello"
--
-- @since 0.1.0.0
copy :: ByteString -> ByteString
copy s
  | ByteString.null s = ByteString.empty
  | otherwise = pureBytes "copy" (ByteString.length s) $ \p -> unsafeUseAsByteString s (copyMuch p)

-- | A copy in a heap. In one whose foreign pointers live together ('newHeap', "Mimalloc.Heap") copies of up to 1 KiB are packed one
-- behind the other into pieces of 8 KiB, one piece at a time for each capability, and cost no finalizer: for thousands
-- that are let go together. These are not aligned, and no blocks of their own: their pointers must not be freed, resized or
-- asked about (as by 'Mimalloc.usableSize'). In a heap that has ended an illegal operation.
--
-- >>> heap <- newHeap
-- >>> M.heapCopy heap (ByteString.take 5 "hello, world")
-- "hello"
--
-- @since 0.1.0.0
heapCopy :: Heap s -> ByteString -> IO ByteString
heapCopy heap s
  | ByteString.null s = ByteString.empty <$ usingHeap "heapCopy" heap (const (pure ()))
  | otherwise = unsafeUseAsByteString s $ \from n -> do
      fp <- newHeapPacked "heapCopy" heap n
      withForeignPtr fp $ \p -> copyMuch p from n
      pure (fromBlock fp n)

-- | The byte string of these bytes.
--
-- >>> M.pack [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
pack :: [Word8] -> ByteString
pack [] = ByteString.empty
pack ws = pureBytes "pack" (length ws) $ \p -> foldM_ (\q w -> (q `plusPtr` 1) <$ poke q w) p ws

-- | All of them in one block.
--
-- >>> M.concat ["a", "bc", ""]
-- "abc"
--
-- @since 0.1.0.0
concat :: [ByteString] -> ByteString
concat pieces
  | total == 0 = ByteString.empty
  | otherwise = pureBytes "concat" total $ \p -> foldM_ append p pieces
  where
    total = foldr (\s n -> checkedSum (ByteString.length s) n) 0 pieces
    append p s = (p `plusPtr` ByteString.length s) <$ unsafeUseAsByteString s (copyMuch p)
    -- Below zero for ever once it overflowed: a negative size is refused.
    checkedSum m n = if n < 0 || m > maxBound - n then -1 else m + n

-- Not dupable: a computation that is given up half-way, as those may be, would leak its block.
pureBytes :: String -> Int -> (Ptr Word8 -> IO ()) -> ByteString
pureBytes name n fill = unsafePerformIO $ do
  fp <- newBytes name n
  withForeignPtr fp fill
  pure (fromBlock fp n)

-- | A whole file. Also 'IOException's of the system.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> M.readFile (directory ++ "/mimalloc-example") <* removeFile (directory ++ "/mimalloc-example")
-- "some text"
--
-- @since 0.1.0.0
readFile :: FilePath -> IO ByteString
readFile path = withBinaryFile path ReadMode $ \h -> do
  -- What has no size, as a pipe, or lies about it, as files of /proc do, is read all the same.
  size <- try (hFileSize h)
  readRest "readFile" h $ case size of
    Right n | n > 0 && n < 1099511627776 -> fromIntegral n + 1
    Right _ -> 1024
    Left e -> const 1024 (e :: IOException)

-- | So many bytes of a handle, or fewer if it ends before. A binary handle is what one wants.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode $ \h -> (,) <$> M.hGet h 4 <*> M.hGet h 100
-- ("some"," text")
--
-- @since 0.1.0.0
hGet :: Handle -> Int -> IO ByteString
hGet h n = trimmed "hGet" n $ \p -> hGetBuf h p n

-- | What there is, at most so many bytes. Waits only if there is nothing yet; empty at the end.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode (`M.hGetSome` 100)
-- "some text"
--
-- @since 0.1.0.0
hGetSome :: Handle -> Int -> IO ByteString
hGetSome h n = trimmed "hGetSome" n $ \p -> hGetBufSome h p n

-- | Everything up to the end, in one block, and closes the handle, as bytestring's does.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> openBinaryFile (directory ++ "/mimalloc-example") ReadMode >>= M.hGetContents
-- "some text"
--
-- @since 0.1.0.0
hGetContents :: Handle -> IO ByteString
hGetContents h = readRest "hGetContents" h 1024 `finally` hClose h

-- A block that doubles, in place or by remapping when it can, until a read falls short.
readRest :: String -> Handle -> Int -> IO ByteString
readRest name h hint = do
  g <- newGrowable 0
  let go more = do
        n <- fillElements name g more (\p -> hGetBuf h p more)
        if n < more then takeByteString g else growableLength g >>= go
  go hint

takeByteString :: Growable Word8 -> IO ByteString
takeByteString g = mask_ $ do
  (p, n) <- takeBlock g
  if n == 0 then pure ByteString.empty else adopt p n

-- | Makes a block a byte string of so many bytes, without copying. The block is from this allocator, by whichever function,
-- Haskell's or C's; the garbage collector frees it from now on, nobody else may, and nobody may write to it. A null pointer
-- with 0 bytes is the empty byte string, one with more an invalid argument.
--
-- >>> p <- mi_malloc 3 :: IO (Ptr Word8)
-- >>> pokeArray p [97, 98, 99]
-- >>> M.unsafePackMallocByteString p 3
-- "abc"
--
-- @since 0.1.0.0
unsafePackMallocByteString :: Ptr Word8 -> Int -> IO ByteString
unsafePackMallocByteString p n
  | n < 0 = negativeSize "unsafePackMallocByteString" n
  | p == nullPtr = if n == 0 then pure ByteString.empty else nullPointer "unsafePackMallocByteString"
  | otherwise = mask_ (adopt p n)

-- | The same with a C string, up to its end. A null pointer is an invalid argument.
--
-- >>> withCString "abc" mi_strdup >>= M.unsafePackMallocCString
-- "abc"
--
-- @since 0.1.0.0
unsafePackMallocCString :: CString -> IO ByteString
unsafePackMallocCString s = do
  when (s == nullPtr) $ nullPointer "unsafePackMallocCString"
  n <- Internal.c_strlen s
  unsafePackMallocByteString (castPtr s) (fromIntegral n)

-- | The same with a C string and its length.
--
-- >>> s <- withCString "abcd" mi_strdup
-- >>> M.unsafePackMallocCStringLen (s, 2)
-- "ab"
--
-- @since 0.1.0.0
unsafePackMallocCStringLen :: CStringLen -> IO ByteString
unsafePackMallocCStringLen (s, n) = unsafePackMallocByteString (castPtr s) n

-- | The bytes of a byte string, any byte string, and how many they are, while the action runs. They are not copied: the
-- action must not write to them, unless the byte string is new and nobody else has seen it. For an empty one the pointer
-- may be null. There is no 0 after the bytes.
--
-- >>> M.unsafeUseAsByteString "abc" (\p n -> peekArray n p)
-- [97,98,99]
--
-- @since 0.1.0.0
unsafeUseAsByteString :: ByteString -> (Ptr Word8 -> Int -> IO a) -> IO a
unsafeUseAsByteString s act = Unsafe.unsafeUseAsCStringLen s $ \(p, n) -> act (castPtr p) n
{-# INLINE unsafeUseAsByteString #-}

-- | How a 'Builder' gets our buffers: the first and the further ones of so many bytes each (at least 64), or of what a
-- single piece needs. For 'toLazyByteStringWith'. The chunks hold the buffers as they are, untrimmed, so do not ask for
-- much more than is needed.
--
-- >>> toLazyByteStringWith (M.mallocStrategy 1024 65536) "" (foldMap intDec [1 .. 10])
-- "12345678910"
--
-- @since 0.1.0.0
mallocStrategy :: Int -> Int -> AllocationStrategy
mallocStrategy first further = customStrategy next (atLeast further) (\_ _ -> False)
  where
    next Nothing = buffer (atLeast first)
    next (Just (_, least)) = buffer (max (atLeast further) least)
    atLeast = max 64
    -- Builders run in computations that may be given up half-way, which would leak the block.
    buffer n = do
      noDuplicate
      fp <- newBytes "mallocStrategy" n
      let p = unsafeForeignPtrToPtr fp
      pure (Buffer fp (BufferRange p (p `plusPtr` n)))

-- | Runs a 'Builder' with buffers of ours, of 4 KiB first and then of 32 KiB.
--
-- >>> M.toLazyByteString (foldMap intDec [1 .. 10])
-- "12345678910"
--
-- @since 0.1.0.0
toLazyByteString :: Builder -> Lazy.ByteString
toLazyByteString = toLazyByteStringWith (mallocStrategy 4096 32768) Lazy.empty

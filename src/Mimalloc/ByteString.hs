-- |
-- Byte strings outside GHC's heap.
--
-- They are byte strings like all others: every function on byte strings works on them. What functions of
-- bytestring make of them shares the block (@take@, @drop@) or lies in GHC's heap (@filter@, @<>@). Use them
-- for what lives long, where one small byte string in GHC's pinned heap can hold a block of 4 KiB, and for
-- what is large.
--
-- Common to all functions of this module:
--
-- * Sizes are in bytes. Blocks are aligned to 16 bytes. The garbage collector frees the block some time after
--   its last use.
-- * They may be called from any Haskell thread, and no asynchronous exception leaks a block.
-- * A /Haskell/ finalizer that uses one of them when its owner dies (@mkWeakIORef r (print s)@,
--   'Foreign.Concurrent.newForeignPtr') may see memory that is free: when byte string and owner die in one
--   collection, C finalizers, as ours are, run before Haskell ones. What works: give the finalizer a copy in
--   GHC's heap (@ByteString.copy@), or a byte string in a region ('heapCopy' with 'Mimalloc.Heap.newHeap')
--   whose 'Mimalloc.Heap.GCHeap' something else holds.
-- * A negative size is an invalid argument ('Mimalloc.isInvalidArgument'), want of memory
--   'Mimalloc.isResourceExhausted'; thrown, by pure functions, where the result is evaluated.
--
-- The module is meant to be imported qualified.
--
-- >>> import Foreign (pokeArray)
-- >>> import qualified Mimalloc.ByteString as M
-- >>> M.create 3 (\p -> pokeArray p [104, 105, 33])
-- "hi!"
--
-- What a socket receives comes into one of these by 'createAndTrim' and network's @recvBuf@: the example
-- @examples\/Recv.hs@.
--
-- What writes is bytestring's own ('ByteString.hPut', 'ByteString.writeFile', and those for lazy ones): it
-- takes the bytes from where they are.
--
-- Lazy ones, and builders, have a page of their own, "Mimalloc.ByteString.Lazy"; so have heaps that end
-- together, "Mimalloc.Region".
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
    -- ** With a result of the action's
  , create'
  , createUptoN'
  , createAndTrim'
    -- ** As a value
  , unsafeCreate
  , unsafeCreateUptoN
    -- * From other data
  , copy
  , copyLazy
  , pack
  , append
  , concat
  , intercalate
  , replicate
  , map
  , unfoldrN
  , packCString
  , packCStringLen
  , fromShort
  , fromLazy
  , toLazy
    -- ** Into a heap
  , heapCopy
  , heapCreate
  , heapConcat
  , heapReadFile
    -- * Reading
  , readFile
  , hGet
  , hGetSome
  , hGetNonBlocking
  , hGetLine
  , hGetContents
    -- ** Lazily
  , readFileLazy
  , hGetContentsLazy
  , hGetLazy
  , hGetNonBlockingLazy
    -- ** Mapped into memory
  , mapFile
    -- * From and to C
  , unsafePackMallocByteString
  , unsafePackMallocCString
  , unsafePackMallocCStringLen
  , unsafeUseAsByteString
    -- * Builders
  , mallocStrategy
  , toLazyByteString
  , toStrictByteString
    -- * Growing
  , takeGrowable
  , appendGrowable
    -- * What the examples import
    -- $setup
  ) where

import Prelude hiding (concat, map, readFile, replicate)

import Control.Exception (IOException, bracket, evaluate, finally, try)
import Control.Monad (foldM_, unless, when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Lazy as Lazy
import Data.ByteString.Short (ShortByteString)
import qualified Data.ByteString.Short as Short
import qualified Data.ByteString.Short.Internal as Short (copyToPtr)
import qualified Data.ByteString.Unsafe as Unsafe
import Data.List (foldl', intersperse)
import Data.Maybe (fromMaybe)
import Data.Word (Word8)
import Foreign.C.String (CString, CStringLen)
import Foreign.ForeignPtr (finalizeForeignPtr, withForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (Ptr, castPtr, nullPtr, plusPtr)
import Foreign.Storable (peekByteOff, poke, pokeByteOff)
import System.IO
  ( Handle, IOMode (..), hClose, hFileSize, hGetBuf, hGetBufNonBlocking, hGetBufSome, openBinaryFile )
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Builder
import Mimalloc.Internal.Bytes hiding (packCString)
import Mimalloc.Internal.Error
import Mimalloc.Internal.Files (mapped)
import Mimalloc.Internal.Growable
import Mimalloc.Internal.Heap
import Mimalloc.Internal.Lazy

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> :set -XOverloadedStrings
-- >>> import qualified Data.ByteString as ByteString
-- >>> import Data.ByteString.Builder (intDec)
-- >>> import Data.ByteString.Builder.Extra (toLazyByteStringWith)
-- >>> import Foreign (Ptr, peekArray, pokeArray)
-- >>> import Foreign.C (withCString)
-- >>> import Mimalloc (mi_malloc, mi_strdup)
-- >>> import Mimalloc.Heap
-- >>> import Mimalloc.Vector (Growable, growableLength, newGrowable, push)
-- >>> import Data.Word (Word8)
-- >>> import System.Directory (getTemporaryDirectory, removeFile)
-- >>> import System.IO (IOMode (..), openBinaryFile, withBinaryFile)
-- >>> import qualified Mimalloc.ByteString as M

-- | A byte string of so many bytes with whatever the block has in it. A byte string never changes, so this
-- one is to be written through its pointer ('unsafeUseAsByteString') before it is used as one; 'create' does
-- both.
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
zallocByteString n = (`fromBlock` n) <$> newBlock "zallocByteString" (\source -> bytes source Zeros n)

-- | 'mallocByteString' from a heap. How long it lives is said in "Mimalloc.Heap".
--
-- >>> heap <- newHeap
-- >>> ByteString.length <$> M.heapMallocByteString heap 100
-- 100
--
-- @since 0.1.0.0
heapMallocByteString :: Heap s -> Int -> IO ByteString
heapMallocByteString heap n =
  (`fromBlock` n) <$> newHeapBlock "heapMallocByteString" heap (\source -> bytes source Whatever n)

-- | 'zallocByteString' from a heap.
--
-- >>> withHeap $ \heap -> M.heapZallocByteString heap 3
-- "\NUL\NUL\NUL"
--
-- @since 0.1.0.0
heapZallocByteString :: Heap s -> Int -> IO ByteString
heapZallocByteString heap n =
  (`fromBlock` n) <$> newHeapBlock "heapZallocByteString" heap (\source -> bytes source Zeros n)

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

-- | A block of so many bytes of which the action fills some; it returns how many. The byte string holds the
-- whole block. A number that is negative or too large is an invalid argument.
--
-- >>> M.createUptoN 10 $ \p -> 3 <$ pokeArray p [97, 98, 99]
-- "abc"
-- >>> M.createUptoN 10 $ \_ -> pure 11
-- *** Exception: createUptoN: invalid argument (length 11 of 10)
--
-- @since 0.1.0.0
createUptoN :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString
createUptoN = createUptoNFor "createUptoN"
{-# INLINE createUptoN #-}

-- Failures are reported under the name.
createUptoNFor :: String -> Int -> (Ptr Word8 -> IO Int) -> IO ByteString
createUptoNFor name room fill = do
  fp <- newBytes name room
  n <- withForeignPtr fp fill
  when (n < 0 || n > room) $ badLength name n room
  pure (fromBlock fp n)
{-# INLINE createUptoNFor #-}

-- | The same, but what is left over is given back, when it is more than half of the block.
--
-- >>> M.createAndTrim 100000 $ \p -> 3 <$ pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
createAndTrim :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString
createAndTrim = trimmed "createAndTrim"

-- | 'create' with a result of the action's.
--
-- >>> M.create' 3 $ \p -> pokeArray p [97, 98, 99] >> pure 'x'
-- ("abc",'x')
--
-- @since 0.1.0.0
create' :: Int -> (Ptr Word8 -> IO a) -> IO (ByteString, a)
create' n fill = do
  fp <- newBytes "create'" n
  r <- withForeignPtr fp fill
  pure (fromBlock fp n, r)
{-# INLINE create' #-}

-- | 'createUptoN' with a result of the action's.
--
-- >>> M.createUptoN' 10 $ \p -> pokeArray p [97, 98, 99] >> pure (3, 'x')
-- ("abc",'x')
--
-- @since 0.1.0.0
createUptoN' :: Int -> (Ptr Word8 -> IO (Int, a)) -> IO (ByteString, a)
createUptoN' room fill = do
  fp <- newBytes "createUptoN'" room
  (n, r) <- withForeignPtr fp fill
  when (n < 0 || n > room) $ badLength "createUptoN'" n room
  pure (fromBlock fp n, r)
{-# INLINE createUptoN' #-}

-- | 'createAndTrim' with a result of the action's, and with the offset at which the bytes begin, as in
-- bytestring.
--
-- >>> M.createAndTrim' 10 $ \p -> pokeArray p [97, 98, 99] >> pure (1, 2, 'x')
-- ("bc",'x')
--
-- @since 0.1.0.0
createAndTrim' :: Int -> (Ptr Word8 -> IO (Int, Int, a)) -> IO (ByteString, a)
createAndTrim' room fill = do
  fp <- newBytes "createAndTrim'" room
  (from, n, r) <- withForeignPtr fp fill
  when (from < 0 || n < 0 || from > room || n > room - from) $ badLength "createAndTrim'" (from + n) room
  let s = ByteString.drop from (fromBlock fp (from + n))
  if n > room `quot` 2 then pure (s, r) else do
    small <- evaluate (copyFor "createAndTrim'" s)
    (small, r) <$ finalizeForeignPtr fp

-- | 'create' as a value, made when it is asked for. The action must have no effect but to write these bytes,
-- all of them.
--
-- >>> M.unsafeCreate 3 $ \p -> pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
unsafeCreate :: Int -> (Ptr Word8 -> IO ()) -> ByteString
unsafeCreate = pureBytes "unsafeCreate"

-- | 'createUptoN' as a value. The action must have no effect but to write as many bytes as it returns.
--
-- >>> M.unsafeCreateUptoN 10 $ \p -> 3 <$ pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
unsafeCreateUptoN :: Int -> (Ptr Word8 -> IO Int) -> ByteString
unsafeCreateUptoN room fill = unsafePerformIO (createUptoNFor "unsafeCreateUptoN" room fill)

-- | A copy in a block of its own. It frees a small piece from the large one it was cut from, and what lives
-- long from GHC's pinned heap.
--
-- >>> M.copy (ByteString.take 5 "hello, world")
-- "hello"
--
-- @since 0.1.0.0
copy :: ByteString -> ByteString
copy = copyFor "copy"

-- Failures are reported under the name.
copyFor :: String -> ByteString -> ByteString
copyFor name s
  | ByteString.null s = ByteString.empty
  | otherwise = pureBytes name (ByteString.length s) $ \p -> unsafeUseAsByteString s (copyMuch p)

-- | Copies of the chunks, each in a block of its own, made when it is asked for. 'fromLazy' has all in one.
--
-- >>> M.copyLazy "hello"
-- "hello"
--
-- @since 0.1.0.0
copyLazy :: Lazy.ByteString -> Lazy.ByteString
copyLazy = Lazy.fromChunks . fmap (copyFor "copyLazy") . Lazy.toChunks

-- | A copy in a heap. In one whose foreign pointers live together ('Mimalloc.Heap.newHeap') copies of up to 1
-- KiB are packed one behind the other into pieces of 8 KiB, one piece at a time for each capability, and cost
-- no finalizer: for thousands that are let go together. These are not aligned, and no blocks of their own:
-- their pointers must not be freed, resized or asked about (as by 'Mimalloc.usableSize'). In a heap that has
-- ended an illegal operation.
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
concat = concatFor "concat"

concatFor :: String -> [ByteString] -> ByteString
concatFor name pieces
  | total == 0 = ByteString.empty
  | otherwise = pureBytes name total (`copyAll` pieces)
  where total = lengths pieces

-- | All of them in one block, with the first argument between any two.
--
-- >>> M.intercalate ", " ["a", "b", "c"]
-- "a, b, c"
--
-- @since 0.1.0.0
intercalate :: ByteString -> [ByteString] -> ByteString
intercalate s = concatFor "intercalate" . intersperse s

-- | Two in one block.
--
-- >>> M.append "ab" "c"
-- "abc"
--
-- @since 0.1.0.0
append :: ByteString -> ByteString -> ByteString
append s t = concatFor "append" [s, t]

-- | So many times the same byte. Empty for a size below 1, as in bytestring.
--
-- >>> M.replicate 3 97
-- "aaa"
--
-- @since 0.1.0.0
replicate :: Int -> Word8 -> ByteString
replicate n w
  | n <= 0 = ByteString.empty
  | otherwise = pureBytes "replicate" n $ \p -> if n < bigBytes then fillBytes p w n else pieces p n
  where
    -- A call of C's delays all collections as long as it takes.
    pieces p left = do
      let k = min bigBytes left
      fillBytes p w k
      unless (k == left) $ pieces (p `plusPtr` k) (left - k)

-- | What the function makes of each byte.
--
-- >>> M.map (+ 1) "abc"
-- "bcd"
--
-- @since 0.1.0.0
map :: (Word8 -> Word8) -> ByteString -> ByteString
map f s
  | ByteString.null s = ByteString.empty
  | otherwise = pureBytes "map" (ByteString.length s) $ \to -> unsafeUseAsByteString s $ \from n ->
      let go i | i >= n = pure ()
               | otherwise = (peekByteOff from i :: IO Word8) >>= pokeByteOff to i . f >> go (i + 1)
      in go 0
{-# INLINE map #-}

-- | At most so many bytes, each from the seed that the one before left, up to the first 'Nothing'; and the
-- seed that is left, 'Nothing' if it was used up, as in bytestring.
--
-- >>> M.unfoldrN 3 (\c -> Just (c, c + 1)) 97
-- ("abc",Just 100)
--
-- @since 0.1.0.0
unfoldrN :: Int -> (a -> Maybe (Word8, a)) -> a -> (ByteString, Maybe a)
unfoldrN n f seed
  | n < 0 = (ByteString.empty, Just seed)
  | otherwise = unsafePerformIO $ do
      g <- newGrowableFor "unfoldrN" (min n 1024)
      let go i s | i >= n = pure (Just s)
                 | Just (w, s') <- f s = pushFor "unfoldrN" g w >> go (i + 1 :: Int) s'
                 | otherwise = pure Nothing
      rest <- go 0 seed
      (\s -> (s, rest)) <$> takeGrowable g

-- | A copy of a C string, up to its end. A null pointer is an invalid argument.
--
-- >>> withCString "abc" M.packCString
-- "abc"
--
-- @since 0.1.0.0
packCString :: CString -> IO ByteString
packCString s = do
  when (s == nullPtr) $ nullPointer "packCString"
  n <- Internal.c_strlen s
  packed "packCString" s (fromIntegral n)

-- | A copy of so many bytes. A null pointer with none is the empty byte string, with more an invalid
-- argument.
--
-- >>> withCString "abc" (\p -> M.packCStringLen (p, 2))
-- "ab"
--
-- @since 0.1.0.0
packCStringLen :: CStringLen -> IO ByteString
packCStringLen (s, n) = do
  when (s == nullPtr && n > 0) $ nullPointer "packCStringLen"
  packed "packCStringLen" s n

-- | A copy of a short byte string, which lies in GHC's heap.
--
-- >>> M.fromShort "abc"
-- "abc"
--
-- @since 0.1.0.0
fromShort :: ShortByteString -> ByteString
fromShort s
  | Short.null s = ByteString.empty
  | otherwise = pureBytes "fromShort" (Short.length s) $ \p -> Short.copyToPtr s 0 p (Short.length s)

-- | A lazy byte string in one block.
--
-- >>> M.fromLazy "abc"
-- "abc"
--
-- @since 0.1.0.0
fromLazy :: Lazy.ByteString -> ByteString
fromLazy = concatFor "fromLazy" . Lazy.toChunks

-- | A byte string as a lazy one, in a block of its own. One that is to share the block, as of a byte string
-- that is ours already, comes from bytestring's 'Lazy.fromStrict'.
--
-- >>> M.toLazy (ByteString.take 5 "hello, world")
-- "hello"
--
-- @since 0.1.0.0
toLazy :: ByteString -> Lazy.ByteString
toLazy = Lazy.fromStrict . copyFor "toLazy"

-- | 'create' in a heap. How long it lives is said in "Mimalloc.Heap".
--
-- >>> heap <- newHeap
-- >>> M.heapCreate heap 3 $ \p -> pokeArray p [97, 98, 99]
-- "abc"
--
-- @since 0.1.0.0
heapCreate :: Heap s -> Int -> (Ptr Word8 -> IO ()) -> IO ByteString
heapCreate = heapCreateFor "heapCreate"

heapCreateFor :: String -> Heap s -> Int -> (Ptr Word8 -> IO ()) -> IO ByteString
heapCreateFor name heap n fill = do
  fp <- newHeapBytes name heap n
  withForeignPtr fp fill
  pure (fromBlock fp n)

-- | 'concat' into a heap.
--
-- >>> heap <- newHeap
-- >>> M.heapConcat heap ["a", "bc", ""]
-- "abc"
--
-- @since 0.1.0.0
heapConcat :: Heap s -> [ByteString] -> IO ByteString
heapConcat = heapConcatFor "heapConcat"

heapConcatFor :: String -> Heap s -> [ByteString] -> IO ByteString
heapConcatFor name heap pieces = heapCreateFor name heap (lengths pieces) (`copyAll` pieces)

-- | 'readFile' into a heap. A file that has no size, or a false one, is copied once more.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> heap <- newHeap
-- >>> M.heapReadFile heap (directory ++ "/mimalloc-example") <* removeFile (directory ++ "/mimalloc-example")
-- "some text"
--
-- @since 0.1.0.0
heapReadFile :: Heap s -> FilePath -> IO ByteString
heapReadFile heap path = reading path $ \h -> do
  n <- fromMaybe 0 <$> sizeToBelieve h
  fp <- newHeapBytes "heapReadFile" heap n
  got <- withForeignPtr fp $ \p -> if n > 0 then hGetBuf h p n else pure 0
  rest <- readRest "heapReadFile" h 1024
  if ByteString.null rest then pure (fromBlock fp got)
    else heapConcatFor "heapReadFile" heap [fromBlock fp got, rest]

-- What has no size, as a pipe, or lies about it, as files of /proc do, is read all the same.
sizeToBelieve :: Handle -> IO (Maybe Int)
sizeToBelieve h = either none believed <$> try (hFileSize h)
  where
    none e = const Nothing (e :: IOException)
    believed n = if n > 0 && n < 1099511627776 then Just (fromIntegral n) else Nothing

-- Not withBinaryFile: since base 4.18 that puts its own name on what the action throws.
reading :: FilePath -> (Handle -> IO a) -> IO a
reading path = bracket (openBinaryFile path ReadMode) hClose

lengths :: [ByteString] -> Int
lengths = foldl' (\n s -> plusLength n (ByteString.length s)) 0

copyAll :: Ptr Word8 -> [ByteString] -> IO ()
copyAll = foldM_ (\p s -> (p `plusPtr` ByteString.length s) <$ unsafeUseAsByteString s (copyMuch p))

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
readFile path = reading path $ \h -> readRest "readFile" h . maybe 1024 (+ 1) =<< sizeToBelieve h

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

-- | What there is just now, at most so many bytes; empty if there is nothing.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode (`M.hGetNonBlocking` 100)
-- "some text"
--
-- @since 0.1.0.0
hGetNonBlocking :: Handle -> Int -> IO ByteString
hGetNonBlocking h n = trimmed "hGetNonBlocking" n $ \p -> hGetBufNonBlocking h p n

-- | A line, without its end. A copy of bytestring's.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "one\ntwo\n"
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode M.hGetLine
-- "one"
--
-- @since 0.1.0.0
hGetLine :: Handle -> IO ByteString
hGetLine h = Char8.hGetLine h >>= evaluate . copyFor "hGetLine"

-- | A file mapped into memory: read by the system when it is looked at, and unmapped when the byte string is
-- gone. The file must neither be written to nor cut meanwhile: bytes would change, and reading what was cut
-- off ends the process. What has no size or cannot be mapped, as files of @\/proc@ and @\/sys@, is read
-- instead, into a block. What is no file (a folder, a pipe, a device) is an 'IOException'.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> M.mapFile (directory ++ "/mimalloc-example") <* removeFile (directory ++ "/mimalloc-example")
-- "some text"
--
-- @since 0.1.0.0
mapFile :: FilePath -> IO ByteString
mapFile path =
  mapped "mapFile" path >>= \(fp, n) -> pure (if n == 0 then ByteString.empty else fromBlock fp n)

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
  g <- newGrowableFor name 0
  let go more = do
        n <- fillElements name g more (\p -> hGetBuf h p more)
        if n < more then takeGrowable g else growableLength g >>= go
  go hint

-- | Makes a block a byte string of so many bytes, without copying. The block is from this allocator, by
-- whichever function, Haskell's or C's; the garbage collector frees it from now on, nobody else may, and
-- nobody may write to it. A null pointer with 0 bytes is the empty byte string, one with more an invalid
-- argument.
--
-- >>> p <- mi_malloc 3 :: IO (Ptr Word8)
-- >>> pokeArray p [97, 98, 99]
-- >>> M.unsafePackMallocByteString p 3
-- "abc"
--
-- @since 0.1.0.0
unsafePackMallocByteString :: Ptr Word8 -> Int -> IO ByteString
unsafePackMallocByteString = packMallocFor "unsafePackMallocByteString"

packMallocFor :: String -> Ptr Word8 -> Int -> IO ByteString
packMallocFor name p n
  | n < 0 = negativeSize name n
  | p == nullPtr = if n == 0 then pure ByteString.empty else nullPointer name
  | otherwise = masked (adopt p n)

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
  packMallocFor "unsafePackMallocCString" (castPtr s) (fromIntegral n)

-- | The same with a C string and its length.
--
-- >>> s <- withCString "abcd" mi_strdup
-- >>> M.unsafePackMallocCStringLen (s, 2)
-- "ab"
--
-- @since 0.1.0.0
unsafePackMallocCStringLen :: CStringLen -> IO ByteString
unsafePackMallocCStringLen (s, n) = packMallocFor "unsafePackMallocCStringLen" (castPtr s) n

-- | The bytes of a byte string, any byte string, and how many they are, while the action runs. They are not
-- copied: the action must not write to them, unless the byte string is new and nobody else has seen it. For
-- an empty one the pointer may be null. There is no 0 after the bytes.
--
-- >>> M.unsafeUseAsByteString "abc" (\p n -> peekArray n p)
-- [97,98,99]
--
-- @since 0.1.0.0
unsafeUseAsByteString :: ByteString -> (Ptr Word8 -> Int -> IO a) -> IO a
unsafeUseAsByteString s act = Unsafe.unsafeUseAsCStringLen s $ \(p, n) -> act (castPtr p) n
{-# INLINE unsafeUseAsByteString #-}

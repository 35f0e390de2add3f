-- |
-- What builders make, and byte strings of vectors that grow: what "Mimalloc.ByteString" and
-- "Mimalloc.ByteString.Lazy" have of both.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Builder
  ( mallocStrategy
  , toLazyByteString
  , toStrictByteString
  , takeGrowable
  , appendGrowable
  ) where

import Control.Monad (void)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (Builder)
import Data.ByteString.Builder.Extra (AllocationStrategy, BufferWriter, Next (..), runBuilder)
import Data.ByteString.Builder.Internal (Buffer (..), BufferRange (..), customStrategy)
import qualified Data.ByteString.Lazy as Lazy
import qualified Data.ByteString.Unsafe as Unsafe
import Data.IORef (newIORef, readIORef, writeIORef)
import Data.Word (Word8)
import Foreign.ForeignPtr (finalizeForeignPtr, withForeignPtr)
import Foreign.ForeignPtr.Unsafe (unsafeForeignPtrToPtr)
import Foreign.Ptr (Ptr, castPtr, plusPtr)
import GHC.IO (noDuplicate)
import System.IO.Unsafe (unsafeInterleaveIO, unsafePerformIO)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Bytes
import Mimalloc.Internal.Growable

-- $setup
-- >>> :set -XOverloadedStrings
-- >>> import Data.ByteString.Builder (intDec)
-- >>> import Data.ByteString.Builder.Extra (toLazyByteStringWith)
-- >>> import qualified Mimalloc.ByteString as M

-- | How a 'Builder' gets our buffers: the first and the further ones of so many bytes each (at least 64), or
-- of what a single piece needs. For 'Data.ByteString.Builder.Extra.toLazyByteStringWith'. The chunks hold the
-- buffers as they are, untrimmed, so do not ask for much more than is needed.
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

-- | Runs a 'Builder'. What it has written is copied to chunks that fit; those behind the first are of 32 KiB,
-- or what a single piece needs. A result of up to 256 bytes lies in GHC's heap, as bytestring's: a finalizer
-- would be larger than most of these, and a collection would look at each. Where such results are kept for
-- long, few among many that are dropped, copy them ('Mimalloc.ByteString.copyLazy').
--
-- >>> M.toLazyByteString (foldMap intDec [1 .. 10])
-- "12345678910"
--
-- @since 0.1.0.0
toLazyByteString :: Builder -> Lazy.ByteString
toLazyByteString builder = Lazy.fromChunks (unsafePerformIO (first (runBuilder builder)))
  where
    -- Most are small: written to a block that is free again when this one is done.
    first writer = do
      (s, next) <- withMallocBytes_ 4096 $ \p -> do
        (n, next) <- writer p 4096
        s <- case next of
          Done | n <= 256 -> ByteString.packCStringLen (castPtr p, n)
          _ -> packed "toLazyByteString" (castPtr p) n
        pure (s, next)
      case next of
        Done -> pure (cons s [])
        _ -> cons s <$> further next
    further = unsafeInterleaveIO . go
    go next = case next of
      Done -> pure []
      More least writer -> do
        (s, next') <- written "toLazyByteString" (max 32768 least) writer
        cons s <$> further next'
      Chunk s writer -> (s :) <$> further (More 0 writer)
    cons s = if ByteString.null s then id else (s :)

withMallocBytes_ :: Int -> (Ptr Word8 -> IO a) -> IO a
withMallocBytes_ = withBytes "toLazyByteString"

-- One buffer of a builder.
written :: String -> Int -> BufferWriter -> IO (ByteString, Next)
written name room writer = do
  fp <- newBytes name room
  (n, next) <- withForeignPtr fp (`writer` room)
  if n > room `quot` 2 then pure (fromBlock fp n, next) else do
    s <- withForeignPtr fp $ \p -> packed name (castPtr p) n
    (s, next) <$ finalizeForeignPtr fp

-- | Runs a 'Builder'; all of it in one block, which grows as it comes.
--
-- >>> M.toStrictByteString (foldMap intDec [1 .. 10])
-- "12345678910"
--
-- @since 0.1.0.0
toStrictByteString :: Builder -> ByteString
toStrictByteString builder = unsafePerformIO $ do
  g <- newGrowableFor "toStrictByteString" 0
  let go least writer = do
        room <- max (max 1024 least) <$> growableLength g
        box <- newIORef Done
        void $ fillElements "toStrictByteString" g room $ \p ->
          writer p room >>= \(n, next) -> n <$ writeIORef box next
        readIORef box >>= \next -> case next of
          Done -> takeGrowable g
          More more writer' -> go more writer'
          Chunk s writer' -> appended "toStrictByteString" g s >> go 0 writer'
  go 0 (runBuilder builder)

-- | The bytes of a vector that grows ("Mimalloc.Vector"), which keep the block. The growable vector is empty
-- then, and may go on.
--
-- >>> g <- newGrowable 0 :: IO (Growable Word8)
-- >>> M.appendGrowable g "ab" >> push g 99
-- >>> M.takeGrowable g
-- "abc"
--
-- @since 0.1.0.0
takeGrowable :: Growable Word8 -> IO ByteString
takeGrowable g = masked $ do
  (p, n) <- takeBlock g
  if n == 0 then pure ByteString.empty else adopt p n

-- | Appends a byte string.
--
-- >>> g <- newGrowable 0 :: IO (Growable Word8)
-- >>> M.appendGrowable g "abc" >> growableLength g
-- 3
--
-- @since 0.1.0.0
appendGrowable :: Growable Word8 -> ByteString -> IO ()
appendGrowable = appended "appendGrowable"

appended :: String -> Growable Word8 -> ByteString -> IO ()
appended name g s = Unsafe.unsafeUseAsCStringLen s $ \(p, n) -> appendElements name g (castPtr p) n

-- |
-- Byte strings over our blocks, for the modules above: the one place that knows how a byte string is made of
-- a foreign pointer, which it does by functions that bytestring has had in all versions.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Bytes
  ( fromBlock
  , adopt
  , packCString
  , copyMuch
  , packed
  , trimmed
  ) where

import Control.Monad (void, when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import Data.Word (Word8)
import Foreign.C.String (CString)
import Foreign.ForeignPtr (ForeignPtr, finalizeForeignPtr, withForeignPtr)
import Foreign.Marshal.Utils (copyBytes)
import Foreign.Ptr (Ptr, castPtr)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI

-- | The first bytes of a block.
fromBlock :: ForeignPtr Word8 -> Int -> ByteString
fromBlock fp = Internal.fromForeignPtr fp 0
{-# INLINE fromBlock #-}

-- | A block that is the byte string's from now on. The caller has 'masked' asynchronous exceptions.
adopt :: Ptr Word8 -> Int -> IO ByteString
adopt p n = (`fromBlock` n) <$> adoptBlock p

-- | The byte string of a C string that C allocates for us; a null pointer is want of memory.
packCString :: String -> IO CString -> IO ByteString
packCString name make = masked $ do
  p <- orNoMemory name 65536 make
  n <- Internal.c_strlen p
  adopt (castPtr p) (fromIntegral n)

-- | 'copyBytes', in a safe call when it is much.
copyMuch :: Ptr Word8 -> Ptr Word8 -> Int -> IO ()
copyMuch to from n
  | n < bigBytes = copyBytes to from n
  | otherwise = void (memcpy_safe to from (fromIntegral n))

-- | A copy of so many bytes.
packed :: String -> CString -> Int -> IO ByteString
packed name s n
  | n == 0 = pure ByteString.empty
  | otherwise = do
      fp <- newBytes name n
      withForeignPtr fp $ \p -> copyMuch p (castPtr s) n
      pure (fromBlock fp n)

-- | A block of so many bytes that the action fills, as a byte string of as many bytes as the action says. If
-- that is at most half of it, they are copied to a block of their own. The block is a foreign pointer from
-- the first, so nothing has to be done for an exception, and an action in pure code that is interrupted can
-- be gone on with.
trimmed :: String -> Int -> (Ptr Word8 -> IO Int) -> IO ByteString
trimmed name room fill = do
  fp <- newBytes name room
  n <- withForeignPtr fp fill
  when (n < 0 || n > room) $ badLength name n room
  if n > room `quot` 2 then pure (fromBlock fp n) else do
    s <- if n == 0 then pure ByteString.empty else do
      small <- newBytes name n
      withForeignPtr small $ \to -> withForeignPtr fp $ \from -> copyMuch to from n
      pure (fromBlock small n)
    s <$ finalizeForeignPtr fp

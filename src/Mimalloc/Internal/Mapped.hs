{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE UnboxedTuples #-}
-- |
-- Files mapped into memory.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Mapped
  ( mapped
  ) where

import Control.Monad (when)
import Data.Word (Word8)
import Foreign.C.Error (throwErrnoIf)
import Foreign.C.Types (CInt (..), CSize (..))
import Foreign.Ptr (intPtrToPtr, nullPtr)
import GHC.Exts
import GHC.ForeignPtr (Finalizers (..), ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..))
import GHC.IORef (IORef (..))
import GHC.STRef (STRef (..))
import System.IO (IOMode (..), hFileSize, withBinaryFile)
import System.Posix.Internals (c_close, c_open, o_RDONLY, withFilePath)
import System.Posix.Types (COff (..))

import Mimalloc.Internal.Alloc (masked, run)
import Mimalloc.Internal.Error (sizeOverflow)

-- Any-thread; safe because they ask the system. The finalizer is the system's own: it takes the address and the length.
foreign import ccall safe "mmap" c_mmap :: Ptr () -> CSize -> CInt -> CInt -> CInt -> COff -> IO (Ptr Word8)
foreign import ccall "&munmap" c_munmap_finalizer :: FunPtr (Ptr Word8 -> CSize -> IO CInt)

-- | A file, to be read, and how many bytes it has.
mapped :: String -> FilePath -> IO (ForeignPtr Word8, Int)
mapped name path = do
  size <- withBinaryFile path ReadMode hFileSize
  when (size > fromIntegral (maxBound :: Int)) $ sizeOverflow name maxBound 1
  let n = fromIntegral size
  fp <- if n == 0 then pure (ForeignPtr nullAddr# FinalPtr) else masked $ run $ do
    fd <- withFilePath path $ \p -> throwErrnoIf (< 0) name (c_open p o_RDONLY 0)
    Ptr p <- c_mmap nullPtr (fromIntegral n) 1 2 (fromIntegral fd) 0          -- PROT_READ, MAP_PRIVATE
    _ <- c_close fd
    _ <- throwErrnoIf (== intPtrToPtr (-1)) name (pure (Ptr p))
    unmapping p n
  pure (fp, n)

unmapping :: Addr# -> Int -> IO (ForeignPtr Word8)
unmapping p (I# n) = IO $ \s0 -> case newMutVar# NoFinalizers s0 of
  (# s1, ref #) -> case mkWeakNoFinalizer# ref () s1 of
    (# s2, weak #) -> case addCFinalizerToWeak# unmap (int2Addr# n) 1# p weak s2 of
      (# s3, _ #) -> case writeMutVar# ref (CFinalizers weak) s3 of
        s4 -> (# s4, ForeignPtr p (PlainForeignPtr (IORef (STRef ref))) #)
  where !(FunPtr unmap) = c_munmap_finalizer

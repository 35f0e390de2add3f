{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE UnboxedTuples #-}
-- |
-- Mappings that a finalizer ends.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Mapped
  ( mapping
  ) where

import Data.Word (Word8)
import Foreign.C.Types (CInt (..), CSize (..))
import Foreign.Ptr (intPtrToPtr, nullPtr)
import GHC.Exts
import GHC.ForeignPtr (Finalizers (..), ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..))
import GHC.IORef (IORef (..))
import GHC.STRef (STRef (..))
import System.Posix.Types (COff (..))

import Mimalloc.Internal.Alloc (masked, run)

-- Any-thread; safe because they ask the system. The finalizer is the system's own: it takes the address and
-- the length.
foreign import ccall safe "mmap" c_mmap :: Ptr () -> CSize -> CInt -> CInt -> CInt -> COff -> IO (Ptr Word8)
foreign import ccall "&munmap" c_munmap_finalizer :: FunPtr (Ptr Word8 -> CSize -> IO CInt)

-- | So many bytes of an open file, to be read; nothing if the system refuses, and its error is in errno.
mapping :: CInt -> Int -> IO (Maybe (ForeignPtr Word8))
mapping fd n = masked $ run $ do
  Ptr p <- c_mmap nullPtr (fromIntegral n) 1 2 fd 0                           -- PROT_READ, MAP_PRIVATE
  if Ptr p == intPtrToPtr (-1) then pure Nothing else Just <$> unmapping p n

unmapping :: Addr# -> Int -> IO (ForeignPtr Word8)
unmapping p (I# n) = IO $ \s0 -> case newMutVar# NoFinalizers s0 of
  (# s1, ref #) -> case mkWeakNoFinalizer# ref () s1 of
    (# s2, weak #) -> case addCFinalizerToWeak# unmap (int2Addr# n) 1# p weak s2 of
      (# s3, _ #) -> case writeMutVar# ref (CFinalizers weak) s3 of
        s4 -> (# s4, ForeignPtr p (PlainForeignPtr (IORef (STRef ref))) #)
  where !(FunPtr unmap) = c_munmap_finalizer

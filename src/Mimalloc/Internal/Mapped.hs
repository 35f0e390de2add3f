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
import Foreign.C.Types (CInt)
import Foreign.Ptr (nullPtr)
import GHC.Exts
import GHC.ForeignPtr (Finalizers (..), ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..))
import GHC.IORef (IORef (..))
import GHC.STRef (STRef (..))

import Mimalloc.Internal.Alloc (masked, relieved)
import Mimalloc.Internal.FFI

-- | So many bytes of an open file, to be read; nothing if the system refuses, and its error is in errno. It
-- counts as pressure, because a process may have only so many mappings.
mapping :: CInt -> Int -> IO (Maybe (ForeignPtr Word8))
mapping fd n = relieved >> masked (do
  file <- mi_cap_map_file_safe fd (fromIntegral n)
  if file == nullPtr then pure Nothing else mi_cap_hold_file file >>= \start -> Just <$> unmapping file start)

unmapping :: Ptr MiFile -> Ptr Word8 -> IO (ForeignPtr Word8)
unmapping (Ptr file) (Ptr start) = IO $ \s0 -> case newMutVar# NoFinalizers s0 of
  (# s1, ref #) -> case mkWeakNoFinalizer# ref () s1 of
    (# s2, weak #) -> case addCFinalizerToWeak# unmap file 0# nullAddr# weak s2 of
      (# s3, _ #) -> case writeMutVar# ref (CFinalizers weak) s3 of
        s4 -> (# s4, ForeignPtr start (PlainForeignPtr (IORef (STRef ref))) #)
  where !(FunPtr unmap) = mi_cap_unmap_held_finalizer

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

import Control.Exception (bracket, mask_)
import Data.Bits ((.|.))
import Data.Word (Word8)
import Foreign.C.Error (eINTR, eNODEV, getErrno, throwErrnoPath)
import Foreign.C.Types (CInt (..), CSize (..))
import Foreign.Ptr (intPtrToPtr, nullPtr)
import GHC.Exts
import GHC.ForeignPtr (Finalizers (..), ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..))
import GHC.IORef (IORef (..))
import GHC.STRef (STRef (..))
import System.Posix.Internals (c_close, c_safe_open, c_safe_read, fdFileSize, o_NOCTTY, o_NONBLOCK, o_RDONLY, withFilePath)
import System.Posix.Types (COff (..))

import Mimalloc.Internal.Alloc (masked, newBlock, run)
import Mimalloc.Internal.Error (noRegularFile)
import Mimalloc.Internal.Growable

-- Any-thread; safe because they ask the system. The finalizer is the system's own: it takes the address and the length.
foreign import ccall safe "mmap" c_mmap :: Ptr () -> CSize -> CInt -> CInt -> CInt -> COff -> IO (Ptr Word8)
foreign import ccall "&munmap" c_munmap_finalizer :: FunPtr (Ptr Word8 -> CSize -> IO CInt)

-- | A file, to be read, and how many bytes it has. What cannot be mapped, or has no size, is read: files of /proc and /sys.
mapped :: String -> FilePath -> IO (ForeignPtr Word8, Int)
mapped name path = bracket opened c_close $ \fd -> do
  size <- fdFileSize fd
  if size < 0 then noRegularFile name path else if size == 0 then contents name path fd else do
    there <- masked (run (mapping fd (fromIntegral size)))
    maybe (contents name path fd) pure there
  where
    -- Nobody waits for who writes to a pipe, and no program that is started meanwhile inherits it: O_CLOEXEC.
    opened = withFilePath path $ \p -> retried name path (c_safe_open p flags 0)
    flags = o_RDONLY .|. o_NOCTTY .|. o_NONBLOCK .|. 0x80000
    mapping fd n = do
      Ptr p <- c_mmap nullPtr (fromIntegral n) 1 2 fd 0                       -- PROT_READ, MAP_PRIVATE
      if Ptr p /= intPtrToPtr (-1) then Just . (\fp -> (fp, n)) <$> unmapping p n else do
        e <- getErrno
        if e == eNODEV then pure Nothing else throwErrnoPath name path

-- All there is from where it is, in a block.
contents :: String -> FilePath -> CInt -> IO (ForeignPtr Word8, Int)
contents name path fd = do
  g <- newGrowableFor name 0
  let go more = do
        n <- fillElements name g more $ \p ->
          fromIntegral <$> retried name path (c_safe_read fd p (fromIntegral more))
        if n > 0 then go (max 4096 n) else mask_ $ takeBlock g >>= \(p, total) ->
          (\fp -> (fp, total)) <$> if total == 0 then pure nothing else newBlock (pure p)
  go 4096
  where nothing = ForeignPtr nullAddr# FinalPtr

-- What a signal interrupted is done again; what fails is thrown.
retried :: (Eq a, Num a) => String -> FilePath -> IO a -> IO a
retried name path act = do
  r <- act
  if r /= -1 then pure r else getErrno >>= \e -> if e == eINTR then retried name path act else throwErrnoPath name path

unmapping :: Addr# -> Int -> IO (ForeignPtr Word8)
unmapping p (I# n) = IO $ \s0 -> case newMutVar# NoFinalizers s0 of
  (# s1, ref #) -> case mkWeakNoFinalizer# ref () s1 of
    (# s2, weak #) -> case addCFinalizerToWeak# unmap (int2Addr# n) 1# p weak s2 of
      (# s3, _ #) -> case writeMutVar# ref (CFinalizers weak) s3 of
        s4 -> (# s4, ForeignPtr p (PlainForeignPtr (IORef (STRef ref))) #)
  where !(FunPtr unmap) = c_munmap_finalizer

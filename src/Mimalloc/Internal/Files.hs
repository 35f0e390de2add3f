{-# LANGUAGE MagicHash #-}
-- |
-- Files as blocks: mapped into memory, or read.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Files
  ( mapped
  ) where

import Control.Exception (bracket)
import Data.Bits ((.|.))
import Data.Word (Word8)
import Foreign.C.Error (eAGAIN, eINTR, eNODEV, eNOMEM, errnoToIOError, getErrno, throwErrnoPath)
import Foreign.C.Types (CInt)
import Foreign.Ptr (nullPtr)
import GHC.Exts (nullAddr#)
import GHC.ForeignPtr (ForeignPtr (..), ForeignPtrContents (..))
import System.IO.Error (ioeSetFileName, modifyIOError)
import System.Posix.Internals
  ( c_close, c_safe_open, c_safe_read, fdFileSize, o_NOCTTY, o_NONBLOCK, o_RDONLY, withFilePath )

import Mimalloc.Internal.Alloc (adoptBlock, exhausted, masked)
import Mimalloc.Internal.Error (noRegularFile)
import Mimalloc.Internal.FFI (mi_cap_pressure_exhausted_safe)
import Mimalloc.Internal.Growable
import Mimalloc.Internal.Mapped (mapping)

-- | A file, to be read, and how many bytes it has. What cannot be mapped, or has no size, is read: files of
-- /proc and /sys.
mapped :: String -> FilePath -> IO (ForeignPtr Word8, Int)
mapped name path = bracket opened c_close $ \fd -> do
  size <- fromIntegral <$> fdFileSize fd
  if size < 0 then noRegularFile name path else if size == 0 then contents name path fd else do
    tried <- attempt fd size
    there <- if not (refused tried) then pure tried else
      ofFile (exhausted collect name size refused (attempt fd size))
    case there of
      Right fp -> pure (fp, size)
      Left e | e == eNODEV -> contents name path fd
             | otherwise -> ioError (errnoToIOError name e Nothing (Just path))
  where
    -- Of addresses, and of mappings that the system allows: each weighs little, however long the file is.
    collect _ = mi_cap_pressure_exhausted_safe nullPtr 65536
    attempt fd size = mapping fd size >>= maybe (Left <$> getErrno) (pure . Right)
    -- There are too many mappings, or too much is locked: of garbage, perhaps.
    refused = either (`elem` [eNOMEM, eAGAIN]) (const False)
    ofFile = modifyIOError (`ioeSetFileName` path)
    -- Nobody waits for who writes to a pipe, and no program that is started meanwhile inherits it: O_CLOEXEC.
    opened = withFilePath path $ \p -> retried name path (c_safe_open p flags 0)
    flags = o_RDONLY .|. o_NOCTTY .|. o_NONBLOCK .|. 0x80000

-- All there is from where it is, in a block.
contents :: String -> FilePath -> CInt -> IO (ForeignPtr Word8, Int)
contents name path fd = do
  g <- newGrowableFor name 0
  let go more = do
        n <- fillElements name g more $ \p ->
          fromIntegral <$> retried name path (c_safe_read fd p (fromIntegral more))
        if n > 0 then go (max 4096 n) else masked $ takeBlock g >>= \(p, total) ->
          (\fp -> (fp, total)) <$> if total == 0 then pure nothing else adoptBlock p
  go 4096
  where nothing = ForeignPtr nullAddr# FinalPtr

-- What a signal interrupted is done again; what fails is thrown.
retried :: (Eq a, Num a) => String -> FilePath -> IO a -> IO a
retried name path act = do
  r <- act
  if r /= -1 then pure r else getErrno >>= \e ->
    if e == eINTR then retried name path act else throwErrnoPath name path

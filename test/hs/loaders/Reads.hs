-- A program ends while threads of it are in safe calls that read its blocks and files. GHC runs all C
-- finalizers then. test/hs/Loaders.hs builds and runs it, with the way it ends and a place for a file.
module Main (main) where

import Control.Concurrent
import Control.Monad
import qualified Data.ByteString as B
import qualified Data.ByteString.Unsafe as B
import Data.Word (Word8)
import Foreign.C.Types
import Foreign.ForeignPtr (newForeignPtr, touchForeignPtr)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (Ptr, castPtr)
import System.Environment (getArgs)
import System.Exit

import Mimalloc
import Mimalloc.Internal.FFI (mi_cap_free_finalizer)
import qualified Mimalloc.ByteString as M
import Mimalloc.Primitive (mi_malloc)
import Mimalloc.Region
import Mimalloc.Stats

foreign import ccall safe read_on :: Ptr Word8 -> CSize -> IO ()
foreign import ccall unsafe reading :: IO CInt
foreign import ccall unsafe end_slowly :: IO ()

main :: IO ()
main = do
  [way, path] <- getArgs
  B.writeFile path (B.replicate 3000000 7)
  -- Three with mappings of their own: each is larger than what was asked for before. And one in an arena.
  alone <- mallocForeignPtrBytes (mib 8)
  heap <- newHeap
  ofRegion <- heapMallocForeignPtrBytes heap (mib 12)
  plain <- mi_malloc (fromIntegral (mib 24)) >>= newForeignPtr mi_cap_free_finalizer
  shared <- mallocForeignPtrBytes (mib 1)
  n <- gaugeMappings . statsGauges <$> getStats
  when (n /= 3) $ die ("mappings: " ++ show n)
  forM_ [(alone, 8), (ofRegion, 12), (plain, 24), (shared, 1)] $ \(fp, size) -> do
    withForeignPtr fp $ \p -> fillBytes p 7 (mib size)
    forkIO $ withForeignPtr fp $ \p -> read_on p (fromIntegral (mib size))
  file <- M.mapFile path
  _ <- forkIO $ B.unsafeUseAsCStringLen file $ \(p, size) -> read_on (castPtr p) (fromIntegral size)
  -- Many more to be freed, before and after.
  more <- replicateM 20000 (mallocForeignPtrBytes 100) :: IO [ForeignPtr Word8]
  let wait = reading >>= \began -> when (began < 20) (threadDelay 1000 >> wait)
  wait
  mapM_ touchForeignPtr more
  end_slowly
  case way of
    "return" -> pure ()
    "exit" -> exitWith (ExitFailure 3)
    "throw" -> ioError (userError "thrown")
    _ -> die "what?"
  where mib = (* 1048576)

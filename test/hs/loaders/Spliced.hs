{-# LANGUAGE TemplateHaskell #-}
-- Allocates while it is compiled: GHC, or the process that it has for that, loads the package.
-- test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Exception (throwIO)
import Control.Monad
import Data.Word (Word8)
import Foreign.ForeignPtr (withForeignPtr)
import Foreign.Ptr
import Foreign.Storable (peek, poke)
import Language.Haskell.TH
import System.Mem (performMajorGC)

import Mimalloc

blocks :: Int
blocks = $(do
  let work = do
        pointers <- mapM mallocForeignPtrBytes [1 .. 1000]
        forM_ pointers $ \fp -> withMallocBytes 100 (\p -> poke p 7 >> withForeignPtr fp (`poke` 8))
        raw <- mi_malloc 5000 >>= \p -> mi_realloc p 3000000 :: IO (Ptr Word8)
        poke raw 9
        mi_free raw
        performMajorGC
        length . filter (== 8) <$> mapM (`withForeignPtr` peek) pointers
  n <- runIO $ do
    done <- replicateM 4 $ do
      v <- newEmptyMVar
      v <$ forkFinally work (putMVar v)
    sum <$> mapM (takeMVar >=> either throwIO pure) done
  litE (integerL (fromIntegral n)))

main :: IO ()
main = print blocks

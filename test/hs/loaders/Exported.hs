-- A library for C programs, written in Haskell. test/hs/Loaders.hs builds it, and host.c loads it.
module Exported () where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.C.Types (CInt (..))
import Foreign.ForeignPtr (withForeignPtr)
import Foreign.Ptr
import Foreign.Storable (peek, poke)

import Mimalloc
import Mimalloc.Capability

foreign export ccall exported_work :: IO CInt
foreign export ccall exported_spread :: IO ()

-- On capabilities, on worker threads (a safe call each), and on the thread that calls.
exported_work :: IO CInt
exported_work = do
  done <- replicateM 4 $ do
    v <- newEmptyMVar
    v <$ forkIO (blocks >>= putMVar v)
  n <- (+) <$> blocks <*> (sum <$> mapM takeMVar done)
  pure (if n == 5 * 2000 then 0 else 1)

-- On four capabilities, two of which are disabled then. Their drainers start meanwhile.
exported_spread :: IO ()
exported_spread = do
  setNumCapabilities 4
  forM_ [0 .. 3] $ \c -> runOnCapability c (mi_malloc 100 :: IO (Ptr Word8))
  setNumCapabilities 2

blocks :: IO Int
blocks = do
  pointers <- replicateM 2000 (mallocForeignPtrBytes 10000)
  forM_ pointers $ \fp -> withForeignPtr fp (`poke` 8)
  large <- mi_zalloc (2 * 1024 * 1024) >>= \p -> mi_realloc p (5 * 1024 * 1024) :: IO (Ptr Word8)
  mi_free large
  length . filter (== 8) <$> mapM (`withForeignPtr` peek) pointers

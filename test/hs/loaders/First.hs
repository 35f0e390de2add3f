-- It ends right after each capability was first used, while their drainers start. test/hs/Loaders.hs builds
-- it and runs it many times.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr

import Mimalloc
import Mimalloc.Capability

main :: IO ()
main = do
  n <- getNumCapabilities
  forM_ [0 .. n - 1] $ \c -> runOnCapability c (mi_malloc 100 :: IO (Ptr Word8))

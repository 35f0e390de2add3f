-- A bracket, so many times: bench/compare --brackets counts its instructions.
--
-- COUNT BYTES
module Main (main) where

import Control.Monad
import Data.Word (Word8)
import Foreign.Storable (poke)
import System.Environment (getArgs)

import Mimalloc (withMallocBytes)

main :: IO ()
main = do
  [count, size] <- map read <$> getArgs
  replicateM_ count $ withMallocBytes size (`poke` (1 :: Word8))

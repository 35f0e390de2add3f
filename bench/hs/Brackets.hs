-- A bracket, so many times; on stdout: ns of processor time for one. bench/compare --brackets runs this with
-- the libraries of two commits.
--
-- COUNT BYTES
module Main (main) where

import Control.Monad
import Data.Word (Word8)
import Foreign.Storable (poke)
import System.CPUTime (getCPUTime)
import System.Environment (getArgs)

import Mimalloc (withMallocBytes)

main :: IO ()
main = do
  [count, size] <- map read <$> getArgs
  began <- getCPUTime
  replicateM_ count $ withMallocBytes size (`poke` (1 :: Word8))
  ended <- getCPUTime
  print (fromIntegral (ended - began) / 1000 / fromIntegral count :: Double)

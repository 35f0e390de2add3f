-- After base's setNumCapabilities has lowered the number, what the heaps of disabled capabilities hold comes
-- back by itself, in a program that does nothing else; and nobody sees the number change meanwhile.
-- test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr
import System.Exit

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

main :: IO ()
main = do
  forM_ [1 .. 3 :: Int] $ \time -> do
    setNumCapabilities 4
    blocks <- forM [0 .. 3] $ \c -> runOnCapability c $ replicateM 1000 (mi_malloc 300 :: IO (Ptr Word8))
    before <- held
    when (before == 0) $ putStrLn "the other capabilities hold nothing" >> exitFailure
    when (time == 1) drainAll -- it returns when each capability has its drainer
    setNumCapabilities 1
    mapM_ (mapM_ mi_free) blocks
    until_ "pages of disabled capabilities" $ do
      n <- getNumCapabilities
      when (n /= 1) $ putStrLn (show n ++ " capabilities") >> exitFailure
      (== 0) <$> held
  putStrLn "fine"

held :: IO Int
held = sum . map capabilityPages . filter ((> 0) . capabilityNumber) <$> capabilityStats

until_ :: String -> IO Bool -> IO ()
until_ what condition = go (12000 :: Int)
  where
    go n = do
      yes <- condition
      unless yes $ if n == 0 then putStrLn ("still waiting for: " ++ what) >> exitFailure
        else threadDelay 10000 >> go (n - 1)

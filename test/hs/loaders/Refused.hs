-- The system has no thread for the library (refuse.c): programs go on, drainAll does what it can, and when
-- there are threads again, what disabled capabilities hold comes back. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.C.Types (CInt (..))
import Foreign.Ptr
import System.Exit

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

foreign import ccall unsafe refuse :: CInt -> IO ()
foreign import ccall unsafe refused_so_far :: IO CInt

main :: IO ()
main = do
  refuse 1
  setNumCapabilities 4
  spread >>= mapM_ (mapM_ mi_free)
  setNumCapabilities 1
  drainAll
  setNumCapabilities 4
  drainAll
  left <- held
  unless (left == 0) $ putStrLn (show left ++ " pages stay with enabled capabilities") >> exitFailure
  refused <- refused_so_far
  when (refused == 0) $ putStrLn "nothing was refused" >> exitFailure
  refuse 0
  blocks <- spread
  drainAll -- it returns when each capability has its drainer
  more <- spread
  setNumCapabilities 1
  mapM_ (mapM_ mi_free) (blocks ++ more)
  comesBack (12000 :: Int)
  putStrLn "fine"

spread :: IO [[Ptr Word8]]
spread = forM [0 .. 3] $ \c -> runOnCapability c $ replicateM 10 (mi_malloc 300)

held :: IO Int
held = sum . map capabilityPages . filter ((> 0) . capabilityNumber) <$> capabilityStats

comesBack :: Int -> IO ()
comesBack n = do
  left <- held
  unless (left == 0) $
    if n == 0 then putStrLn "still waiting" >> exitFailure else threadDelay 10000 >> comesBack (n - 1)

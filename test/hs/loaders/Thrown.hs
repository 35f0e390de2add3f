{-# LANGUAGE CPP #-}
-- A program throws exceptions at all Haskell threads that it can see, those of the library, too, while these
-- begin and while they wait: each thrower goes on; what disabled capabilities hold comes back afterwards, and
-- the program ends. test/hs/Loaders.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Data.Word (Word8)
import Foreign.Ptr
#if __GLASGOW_HASKELL__ >= 906
import GHC.Conc.Sync (listThreads, threadLabel)
import Data.List (isInfixOf)
#endif
import System.Exit

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

main :: IO ()
main = do
  forM_ [0, 10, 100, 1000, 20000, 400000 :: Int] $ \us -> replicateM_ 2 $ do
    setNumCapabilities 4
    blocks <- spread
    when (us > 1000) drainAll -- it returns when each capability has its drainer
    threadDelay us
    throwAtAll
    setNumCapabilities 2
    throwAtAll
    mapM_ (mapM_ mi_free) blocks
    setNumCapabilities 4
    spread >>= mapM_ (mapM_ mi_free)
    drainAll
    spread >>= mapM_ (mapM_ mi_free)
    setNumCapabilities 1
    throwAtAll
    comesBack (12000 :: Int)
  putStrLn "fine"

spread :: IO [[Ptr Word8]]
spread = forM [0 .. 3] $ \c -> runOnCapability c $ replicateM 10 (mi_malloc 300)

comesBack :: Int -> IO ()
comesBack n = do
  held <- sum . map capabilityPages . filter ((> 0) . capabilityNumber) <$> capabilityStats
  unless (held == 0) $
    if n == 0 then putStrLn "still waiting" >> exitFailure else threadDelay 10000 >> comesBack (n - 1)

-- Not at GHC's own ones, which would wait for an event; nor at this one.
throwAtAll :: IO ()
#if __GLASGOW_HASKELL__ >= 906
throwAtAll = do
  me <- myThreadId
  let isManager = fmap (maybe False (isInfixOf "anager")) . threadLabel
  threads <- listThreads >>= filterM (fmap not . isManager) . filter (/= me)
  dones <- forM threads $ \t -> newEmptyMVar >>= \done -> done <$ forkIO (killThread t >> putMVar done ())
  mapM_ takeMVar dones
#else
throwAtAll = pure ()
#endif

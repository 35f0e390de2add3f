-- A user's own C code (own.c) with the headers that the package installs. test/hs/Ways.hs builds and runs it.
module Main (main) where

import Control.Concurrent
import Control.Monad
import Foreign
import Foreign.C
import System.Exit

data Own

foreign import ccall unsafe own_make :: CString -> IO (Ptr Own)
foreign import ccall "&own_free" own_free :: FinalizerPtr Own
foreign import ccall safe own_double :: Ptr Own -> IO CSize
foreign import ccall safe own_live_blocks :: IO CLLong

main :: IO ()
main = do
  before <- own_live_blocks
  results <- forM [1 .. 8 :: Int] $ \n -> do
    result <- newEmptyMVar
    _ <- forkIO $ do
      lengths <- forM [1 .. 200] $ \i -> do
        own <- withCString (replicate i 'x') own_make >>= newForeignPtr own_free
        twice <- withForeignPtr own own_double
        when (i `mod` n == 0) (finalizeForeignPtr own)
        pure (fromIntegral twice == 2 * i)
      putMVar result (and lengths)
    pure result
  right <- mapM takeMVar results
  live <- own_live_blocks
  unless (and right && before >= 0 && live >= before) $ print (right, before, live) >> exitFailure
  putStrLn "fine"

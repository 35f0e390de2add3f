-- A user's program, small but with all ways to hold memory, from threads bound and not. test/hs/Ways.hs builds it in many
-- ways and runs it; it prints a last line "all free" if, in the end, no block is left.
module Main (main) where

import Control.Concurrent
import Control.Exception (bracket, finally)
import Control.Monad
import Foreign
import System.Exit (exitFailure)
import System.Mem (performMajorGC)

import Mimalloc
import Mimalloc.Capability
import Mimalloc.Stats

main :: IO ()
main = do
  (before, _) <- liveBlocks
  threads <- forM [1 .. 6 :: Int] $ \k -> do
    done <- newEmptyMVar
    _ <- (if rtsSupportsBoundThreads && even k then forkOS else forkIO) (work k `finally` putMVar done ())
    pure done
  mapM_ takeMVar threads
  reinitializeCapabilities
  left <- settled before (50 :: Int)
  if left == 0 then putStrLn "all free" else putStrLn (show left ++ " blocks left") >> exitFailure

work :: Int -> IO ()
work k = forM_ [1 .. 300] $ \i -> do
  managed <- mallocForeignPtrArray (10 * i) :: IO (ForeignPtr Int)
  withForeignPtr managed $ \p -> pokeArray p [k .. k + 10 * i - 1]
  total <- withMallocArray i $ \p -> do
    pokeArray p [1 .. i]
    sum <$> peekArray i p
  zero <- bracket (mi_zalloc (fromIntegral i)) mi_free (fmap (sum . map toInteger) . peekArray i . castPtr' )
  kept <- withForeignPtr managed (peekArray (10 * i))
  when (i `mod` 7 == 0) $ finalizeForeignPtr managed
  unless (total == i * (i + 1) `div` 2 && zero == 0 && kept == [k .. k + 10 * i - 1]) $ ioError (userError "wrong bytes")
  where castPtr' p = castPtr p :: Ptr Word8

-- Finalizers run some time after a collection.
settled :: Int -> Int -> IO Int
settled before tries = do
  performMajorGC
  yield
  left <- subtract before . fst <$> liveBlocks
  if left <= 0 || tries == 0 then pure (max 0 left) else settled before (tries - 1)

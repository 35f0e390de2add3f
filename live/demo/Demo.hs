-- What tools/live shows to a browser, and a program to try the page with:
--
--     mimalloc-live-demo PORT
--
-- Prints the page's address. Then it does what lines on its standard input say, and answers each with a line:
--
-- take    some 100 MiB: small blocks and large ones on each capability, and in two heaps with names
-- thin    frees nine tenths of the small ones, at random
-- drop    frees all of it
-- heaps   makes a thousand heaps
-- live    says how many blocks live, and their bytes
module Main (main) where

import Control.Monad
import Data.IORef
import Data.Word (Word8)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (Ptr)
import System.Environment (getArgs)
import System.IO

import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Live
import Mimalloc.Primitive
import Mimalloc.Stats (liveBlocks)

data Taken = Taken { blocks :: IORef [Ptr Word8], heaps :: IORef [GCHeap] }

main :: IO ()
main = do
  hSetBuffering stdout LineBuffering
  port <- map read <$> getArgs
  let settings = defaultSettings { settingsPort = sum (take 1 port), settingsAnnounce = putStrLn . liveUrl }
  withLivePageAt settings . const $ do
    taken <- Taken <$> newIORef [] <*> newIORef []
    interact' (\line -> maybe (pure "take, thin, drop, heaps or live") ($ taken) (lookup line things))
  where
    things =
      [ ("take", \t -> "done" <$ takeSome t)
      , ("thin", \t -> "done" <$ thin t)
      , ("drop", \t -> "done" <$ dropAll t)
      , ("heaps", \t -> "done" <$ thousand t)
      , ("live", const (show <$> liveBlocks)) ]

interact' :: (String -> IO String) -> IO ()
interact' answer = do
  end <- isEOF
  unless end $ getLine >>= answer >>= putStrLn >> interact' answer

-- The sizes repeat, in an order that mixes them.
takeSome :: Taken -> IO ()
takeSome taken = do
  n <- getNumCapabilities
  forM_ [0 .. n - 1] $ \c -> runOnCapability c $ do
    small <- forM [1 .. 12000] $ \i -> filled mi_malloc (16 + i * 7919 `rem` (if odd i then 4000 else 300))
    large <- forM [1 .. 10] $ \i -> filled mi_malloc (100000 * (1 + (i + c) `rem` 5))
    modifyIORef (blocks taken) ((small ++ large) ++)
  cache <- newNamedHeap "cache"
  sessions <- newNamedHeap "sessions"
  forM_ [1 .. 120 :: Int] $ \i -> heapMallocForeignPtrBytes cache (20000 * (1 + i `rem` 9))
  forM_ [1 .. 20000 :: Int] $ \i -> heapMallocForeignPtrBytes sessions (100 + i `rem` 700)
  modifyIORef (heaps taken) ([cache, sessions] ++)
  where
    filled make n = do
      p <- make (fromIntegral n)
      p <$ fillBytes p 1 n

thin :: Taken -> IO ()
thin taken = do
  ps <- readIORef (blocks taken)
  let numbered = zip (iterate (\x -> (x * 1103515245 + 12345) `rem` 2147483648) (1 :: Int)) ps
      (kept, freed) = (filter stays numbered, filter (not . stays) numbered)
      stays (x, _) = x `quot` 65536 `rem` 10 == 0
  mapM_ (mi_free . snd) freed
  writeIORef (blocks taken) (map snd kept)

dropAll :: Taken -> IO ()
dropAll taken = do
  readIORef (blocks taken) >>= mapM_ mi_free
  readIORef (heaps taken) >>= mapM_ unsafeEndHeap
  writeIORef (blocks taken) []
  writeIORef (heaps taken) []

thousand :: Taken -> IO ()
thousand taken = do
  new <- forM [1 .. 1000 :: Int] $ \i -> do
    heap <- newNamedHeap ("heap of customer " ++ show i)
    heap <$ replicateM_ (1 + i `rem` 20) (heapMallocForeignPtrBytes heap (i * 13))
  modifyIORef (heaps taken) (new ++)

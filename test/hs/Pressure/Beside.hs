{-# LANGUAGE BangPatterns #-}
-- Shapes of use beside the same with bytestring's blocks, in GHC's heap: what collections cost may be little
-- more. Each is a process of its own; counts and ratios are compared, and a time with a time only.
module Pressure.Beside (tests, shapes) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.Bits (shiftR, xor, (.&.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import Data.IORef
import Data.List (foldl', sort)
import qualified Data.Map.Strict as Map
import qualified Data.Vector.Mutable as Vector
import Data.Word (Word8)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (Ptr)
import GHC.Stats (RTSStats (..), getRTSStats)
import System.CPUTime (getCPUTime)
import System.Directory (getTemporaryDirectory, removeFile)
import System.Exit (ExitCode (..))
import System.IO (hClose, openBinaryTempFile)
import System.Mem (performMajorGC)
import Test.Tasty
import Test.Tasty.HUnit

import Api.Child
import qualified Mimalloc.ByteString as Mi
import Mimalloc.Stats (ProcessInfo (..), getProcessInfo)

-- | What a shape cost: major collections, whoever asked; what was copied, KiB; processor time, ms; the most
-- that was resident, MiB.
data Cost = Cost { majors, copied, cpu, peak :: !Int } deriving (Read, Show)

-- | With these flags of the runtime system.
tests :: String -> [TestTree]
tests flags =
  [ beside 3 "read" $ \ours theirs -> do
      atMost "cpu" (2 * cpu theirs + 50) (cpu ours)
      atMost "peak" (quarter (peak theirs) + 16) (peak ours)
  -- There are more of them, of a heap in which hardly anything lives.
  , beside 1 "dropped" $ \ours theirs -> do
      atMost "copied" (copied theirs + 20000) (copied ours)
      atMost "peak" (peak theirs + 30) (peak ours)
  , beside 1 "read, large heap" counted
  , beside 1 "kept, large" counted
  , beside 1 "kept" counted
  , beside 1 "service" counted
  , beside 1 "filling" counted
  ]
  where
    -- There are about as many of each; a collection of the large heap copies 80 MB. With a fixed budget of
    -- 32 MiB there are 71 major ones in "kept" and 826 in the last, where there are 7 and 19. If nobody asks
    -- for any, the first is too large.
    counted ours theirs = do
      atMost "majors" (2 * majors theirs + 3) (majors ours)
      atMost "copied" (2 * copied theirs + 250000) (copied ours)
      atMost "peak" (quarter (peak theirs) + 16) (peak ours)
    quarter n = n + n `quot` 4
    beside n name check = testCase name $ do
      turns <- replicateM n ((,) <$> cost name <*> cost (name ++ ", bytestring"))
      check (middle (map fst turns)) (middle (map snd turns))
    cost name = do
      (code, out, err) <- child [("GHCRTS", flags ++ " -T")] name
      assertBool (show code ++ err ++ out) (code == ExitSuccess)
      pure (read (last (lines out)) :: Cost)
    middle cs = Cost (of_ majors) (of_ copied) (of_ cpu) (of_ peak)
      where of_ field = sort (map field cs) !! (length cs `quot` 2)
    atMost what n x = assertBool (what ++ " " ++ show x ++ ", at most " ++ show n) (x <= n)

-- | What the processes do.
shapes :: [(String, IO ())]
shapes = concat
  [ [ ("read" ++ whose, files readWhole), ("read, large heap" ++ whose, large (files readWhole))
    , ("dropped" ++ whose, dropped new)
    , ("kept" ++ whose, large (kept 50000 20000 1000 new))
    , ("kept, large" ++ whose, large (kept 2000 1000000 20 new))
    , ("service" ++ whose, service new), ("filling" ++ whose, filling new) ]
  | (whose, new, readWhole) <- [ ("", Mi.create, Mi.readFile)
                               , (", bytestring", Internal.create, ByteString.readFile) ] ]

type New = Int -> (Ptr Word8 -> IO ()) -> IO ByteString

filled :: New -> Int -> Int -> IO ByteString
filled new n i = new n (\p -> fillBytes p (fromIntegral i) n) >>= evaluate

-- Of the action alone, not of what is there before.
costs :: IO () -> IO ()
costs act = do
  performMajorGC
  before <- getRTSStats
  began <- getCPUTime
  act
  ended <- getCPUTime
  now <- getRTSStats
  most <- processInfoPeakRSS <$> getProcessInfo
  let between field = fromIntegral (field now) - fromIntegral (field before)
  print (Cost (between major_gcs) (between copied_bytes `quot` 1024)
    (fromIntegral ((ended - began) `quot` 1000000000)) (most `quot` 1048576))

-- 1 MB, read a thousand times.
files :: (FilePath -> IO ByteString) -> IO ()
files readWhole = do
  directory <- getTemporaryDirectory
  bracket (openBinaryTempFile directory "mimalloc") (removeFile . fst) $ \(path, h) -> do
    ByteString.hPut h (ByteString.replicate 1000000 65) >> hClose h
    costs $ replicateM_ 1000 $ readWhole path >>= \s ->
      when (ByteString.length s /= 1000000 || ByteString.last s /= 65) $ fail "it is not what is there"

-- Beside a heap of GHC's of some 80 MB.
large :: IO () -> IO ()
large act = do
  let !values = foldr seq () many `seq` many
      many = [1 .. 2000000] :: [Int]
  act
  when (sum values < 0) $ fail "the sum is wrong"

-- 3000 of 1 MiB.
dropped :: New -> IO ()
dropped new = costs $ forM_ [1 .. 3000] $ \i -> filled new 1048576 i >>= \s ->
  when (ByteString.last s /= fromIntegral i) $ fail "a byte is lost"

-- So many, of so many bytes, of which so many are kept for a while.
kept :: Int -> Int -> Int -> New -> IO ()
kept count size few new = do
  ring <- Vector.replicate few ByteString.empty
  costs $ forM_ [1 .. count] $ \i -> filled new size i >>= Vector.write ring (i `rem` few)
  forM_ [count - few + 1 .. count] $ \i -> Vector.read ring (i `rem` few) >>= \s ->
    when (ByteString.last s /= fromIntegral i) $ fail "a byte is lost"

-- A service without its sockets: bodies come and go, 300 MiB of them.
service :: New -> IO ()
service new = do
  slots <- slotsFor 300
  next <- newIORef 0
  let serve = atomicModifyIORef' next (\i -> (i + 1, i)) >>= \i ->
        when (i < 15000) $ request new slots i >> serve
  costs $ together (replicate 8 serve)

-- The same with 64 MiB, while an index is filled. A request comes with each so many keys.
filling :: New -> IO ()
filling new = do
  slots <- slotsFor 64
  next <- newEmptyMVar
  index <- newIORef Map.empty
  let fill = do
        forM_ [1 .. keys] $ \i -> do
          modifyIORef' index (Map.insert (i * 2654435761 `rem` 4294967296) i)
          when (i `rem` (keys `quot` requests) == 0) $ putMVar next (Just i)
        replicateM_ 4 (putMVar next Nothing)
      serve = takeMVar next >>= mapM_ (\i -> request new slots i >> serve)
  costs $ together (fill : replicate 4 serve)
  size <- Map.size <$> readIORef index
  when (size /= keys) $ fail "a key is lost"
  where
    keys = 300000 :: Int
    requests = 6000

type Slots = Vector.IOVector ByteString

-- For so many MiB of bodies.
slotsFor :: Int -> IO Slots
slotsFor mib = Vector.replicate (mib * 1048576 `quot` 135168) ByteString.empty

request :: New -> Slots -> Int -> IO ()
request new slots i = do
  body <- filled new (4096 + mixed `rem` 262144) i
  Vector.write slots (mixed `rem` Vector.length slots) body
  void $ evaluate (foldl' xor 0 [ fromIntegral (ByteString.index body j) * k
                                | (j, k) <- zip [0, 509 .. 4095] [1 ..] ] :: Int)
  where
    mixed = (i * 6364136223846793005 + 1442695040888963407) `shiftR` 33 .&. 0x3fffffff

-- All of them at once, to the end. One that fails, fails it.
together :: [IO ()] -> IO ()
together acts = do
  ends <- forM acts $ \act -> newEmptyMVar >>= \end -> end <$ forkFinally act (putMVar end)
  mapM_ (takeMVar >=> either throwIO pure) ends

{-# LANGUAGE OverloadedStrings #-}
-- Whose resident memory is: each shape is a process of its own, which looks, takes memory of a known size,
-- and looks again.
module Metrics.Residence (tests, things, takeDescriptors) where

import Control.Concurrent.MVar
import Control.Exception (IOException, evaluate, try)
import Control.Monad
import qualified Data.ByteString as ByteString
import Data.ByteString (ByteString)
import qualified Data.ByteString.Char8 as Char8
import Data.Word (Word8)
import Foreign.Marshal.Alloc (free, mallocBytes)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (plusPtr)
import System.Exit (ExitCode (..))
import System.Mem (getAllocationCounter, performMajorGC)
import System.Posix.IO (dup, stdOutput)
import System.Posix.Resource
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import Mimalloc (ForeignPtr, mallocForeignPtrBytes, mi_free, mi_malloc, withForeignPtr)
import Mimalloc.Metrics
import Mimalloc.Pressure (PressureStats (..), pressureStats)
import Mimalloc.Stats (collectForce)

tests :: TestTree
tests = testGroup "residence"
  [ shape "small blocks, and GHC's heap"
  , shape "a large block, touched in part"
  , shape "blocks that were freed"
  , shape "blocks of C's malloc"
  , testCase "a block that waits to be unmapped" $ do
      let settings = [ ("MIMALLOC_PURGE_DELAY", "1000000"), ("MIMALLOC_PURGE_THREAD", "0")
                     , ("MIMALLOC_ARENA_RESERVE", "4MiB"), ("GHCRTS", "-N1") ]
      (status, out, err) <- child settings "a block that waits"
      assertEqual (out ++ err) ExitSuccess status
  , testCase "GHC's own figures: only with -T" $ do
      (_, without, _) <- child [("GHCRTS", "")] "names"
      (_, with, _) <- child [("GHCRTS", "-T")] "names"
      let ofGhc text = [ w | w <- words text, Char8.isPrefixOf "mimalloc_ghc_" (Char8.pack w) ]
      ofGhc without @?= []
      assertBool with ("mimalloc_ghc_live_bytes" `elem` ofGhc with && length (ofGhc with) >= 9)
      -- GHC's mutator time falls at the end of a collection: no counter
      assertBool with (not (any ("mutator" `Char8.isInfixOf`) (map Char8.pack (ofGhc with))))
  , testCase "what the system does not say has no sample" $
      child noTicker "no descriptors" >>= (@?= (ExitSuccess, "", ""))
  , testCase "a look allocates little" $ child [] "allocates" >>= (@?= (ExitSuccess, "", ""))
  ]
  where
    shape name = testCase name $ do
      (status, out, err) <- child [] name
      assertEqual (out ++ err) ExitSuccess status

-- | For Api.Child.
things :: [(String, IO ())]
things =
  [ ("small blocks, and GHC's heap", do
      before <- look
      ps <- replicateM (80 * 1024) (mi_malloc 1024)
      forM_ ps $ \p -> fillBytes p 1 1024
      string <- evaluate (ByteString.replicate (60 * mib) 1)
      list <- newMVar [1 .. 500000 :: Int]
      void $ withMVar list (evaluate . sum)
      during <- look
      near "mimalloc" (80 * mib) (part "mimalloc" during - part "mimalloc" before)
      least "ghc" (60 * mib) (part "ghc" during - part "ghc" before)
      unexplained before during
      mapM_ mi_free ps
      void $ evaluate (ByteString.last string)
      void $ withMVar list (evaluate . length))
  , ("a large block, touched in part", do
      before <- look
      p <- mi_malloc (700 * 1024 * 1024)
      fillBytes p 1 (100 * mib)
      q <- mi_malloc (20 * 1024 * 1024)
      fillBytes (q `plusPtr` (10 * mib)) 1 (10 * mib)
      during <- look
      near "mimalloc" (110 * mib) (part "mimalloc" during - part "mimalloc" before)
      unexplained before during
      mi_free q >> mi_free p)
  , ("blocks that were freed", do
      before <- look
      ps <- replicateM 1000 (mi_malloc 100000)
      forM_ ps $ \p -> fillBytes p 1 100000
      during <- look
      unexplained before during
      mapM_ mi_free ps
      collectForce
      performMajorGC
      after <- look
      most "mimalloc" (10 * mib) (part "mimalloc" after - part "mimalloc" before)
      most "other" (4 * mib) (part "other" after - part "other" before))
  , ("blocks of C's malloc", do
      before <- look
      p <- mallocBytes (64 * mib)
      fillBytes p 1 (64 * mib)
      during <- look
      near "other" (64 * mib) (part "other" during - part "other" before)
      most "mimalloc" mib (part "mimalloc" during - part "mimalloc" before)
      free p)
  , ("a block that waits", do
      -- Freed as the second collection begins, and unmapped when anybody allocates.
      before <- look
      fp <- mallocForeignPtrBytes (64 * mib) :: IO (ForeignPtr Word8)
      withForeignPtr fp $ \p -> fillBytes p 1 (64 * mib)
      performMajorGC >> performMajorGC
      held <- pressureHeldBytes <$> pressureStats
      when (held > mib) $ fail ("it lives: " ++ show held)
      during <- look
      near "mimalloc" (64 * mib) (part "mimalloc" during - part "mimalloc" before)
      unexplained before during)
  , ("no descriptors", do
      takeDescriptors
      ms <- getMetrics
      let values name = [ sampleValue s | m <- ms, metricName m == name, s <- metricSamples m ]
      unless (all (null . values) ["mimalloc_process_resident_bytes", "mimalloc_resident_bytes"
          , "mimalloc_process_huge_bytes", "mimalloc_process_swapped_bytes"]) $ fail "known"
      unless (any (> Whole 0) (values "mimalloc_process_resident_peak_bytes")) $ fail "no peak")
  , ("allocates", do
      text <- ByteString.readFile "/proc/self/smaps"
      let allocated detail = do
            before <- getMetricsWith detail >> getAllocationCounter
            after <- getMetricsWith detail >> getAllocationCounter
            pure (fromIntegral (before - after) :: Int)
      without <- allocated defaultDetail { detailResidence = False }
      with <- allocated defaultDetail
      -- 12 times the text; 32 times, if each piece of it is made room for as if it were 64 KiB long
      unless (with - without <= 22 * ByteString.length text) $
        fail (show (with - without, ByteString.length text)))
  , ("names", getMetrics >>= mapM_ (Char8.putStrLn . metricName))
  ]

-- | Until there is none left.
takeDescriptors :: IO ()
takeDescriptors = do
  limits <- getResourceLimit ResourceOpenFiles
  setResourceLimit ResourceOpenFiles limits { softLimit = ResourceLimit 64 }
  try (replicateM_ 64 (dup stdOutput)) >>= either
    (\e -> let _ = e :: IOException in pure ()) (const (fail "there are more"))

-- | For the child that does it: the runtime system's ticker needs one, and may begin late.
noTicker :: [(String, String)]
noTicker = [("GHCRTS", "-V0")]

mib :: Int
mib = 1024 * 1024

-- Of the three parts. The first look makes what later ones need.
look :: IO [(ByteString, Int)]
look = do
  void getMetrics
  ms <- getMetrics
  let samples name = concat [ metricSamples m | m <- ms, metricName m == name ]
      parts = [ (v, n) | Sample [(_, v)] (Whole n) <- samples "mimalloc_resident_bytes" ]
      whole = [ n | Sample [] (Whole n) <- samples "mimalloc_process_resident_bytes" ]
  unless (map fst parts == ["ghc", "mimalloc", "other"] && all ((>= 0) . snd) parts
      && whole == [sum (map snd parts)]) $ fail (show (parts, whole))
  pure parts

part :: ByteString -> [(ByteString, Int)] -> Int
part name = maybe (-1) id . lookup name

-- What is neither GHC's nor ours has changed by 3 % of what is resident at most.
unexplained :: [(ByteString, Int)] -> [(ByteString, Int)] -> IO ()
unexplained before after = unless (100 * abs more <= 3 * sum (map snd after)) $ fail (show (before, after))
  where more = part "other" after - part "other" before

near, least, most :: String -> Int -> Int -> IO ()
near what wanted n = unless (abs (n - wanted) <= wanted `quot` 20) $ fail (show (what, wanted, n))
least what wanted n = unless (n >= wanted) $ fail (show (what, wanted, n))
most what wanted n = unless (n <= wanted) $ fail (show (what, wanted, n))

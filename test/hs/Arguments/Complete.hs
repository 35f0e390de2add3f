-- That the tests of bad arguments leave no function out: none of docs/api-names.txt, and no other public one
-- that takes a number or a pointer by its type. Runs at the root of the package.
module Arguments.Complete (complete) where

import Data.Char (isAlphaNum, isLower)
import Data.List (isPrefixOf, isSuffixOf, nub, sort, stripPrefix, tails, (\\))
import Data.Maybe (mapMaybe)
import System.Directory (doesFileExist, listDirectory)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

-- | The functions that are tested under their own names. Those of C are tested by the dozen: they are there
-- if the test's source names them.
complete :: [String] -> TestTree
complete named = testGroup "no function is left out"
  [ testCase "the list of names" $ do
      listed <- namesOf <$> readFile "docs/api-names.txt"
      assertBool "too short" (length listed >= 200)
      leftOut listed >>= \names -> names \\ harmless @?= []
  , testCase "what takes a number or a pointer" $ do
      taking <- concatMap takers <$> (publicSources >>= mapM readFile)
      assertBool "too few" (length taking >= 170)
      leftOut taking >>= \names -> names \\ harmless @?= []
  , testCase "none is on both lists" $ do
      tested <- theTested
      filter (`elem` tested) harmless @?= []
      harmless \\ nub harmless @?= []
  ]
  where
    leftOut names = (sort (nub names) \\) <$> theTested
    theTested = (named ++) . filter ("mi_" `isPrefixOf`) . words . map separated
      <$> readFile "test/hs/Arguments.hs"
    separated c = if isName c then c else ' '

-- Those that no argument is bad for: they take none; or only what has a type that says all (one value's
-- block, a capability's, a flag, a function); or the pointer is not looked at.
harmless :: [String]
harmless = words
  "mallocForeignPtr withMalloc callocForeignPtr withCalloc heapMallocForeignPtr \
  \heapCallocForeignPtr newHeap withHeap withHeapMalloc withHeapCalloc heapCollect \
  \getCurrentCapability getNumCapabilities initializeCapabilities reinitializeCapabilities \
  \withCapabilityLocal pack unsafeUseAsByteString hGetContentsLazy forGrowable unsafeFromForeignPtr \
  \unsafeFromForeignPtr0 processInfoElapsedMsecs processInfoUserMsecs processInfoSystemMsecs \
  \processInfoCurrentRSS processInfoPeakRSS processInfoCurrentCommit processInfoPeakCommit \
  \processInfoPageFaults getProcessInfo printStats resetStats mergeStats collect collectForce \
  \getMimallocVersion mimallocVersion getStats statsJson mi_heap_get_backing mi_collect mi_version \
  \mi_stats_reset mi_stats_merge mi_stats_print mi_process_init mi_process_done mi_thread_init \
  \mi_thread_done mi_is_redirected mi_option_enable mi_option_disable mi_option_set_enabled \
  \mi_option_set_enabled_default mi_subproc_main mi_subproc_new"

isName :: Char -> Bool
isName c = isAlphaNum c || c `elem` "_'"

-- Functions of the modules, not those of C alone.
namesOf :: String -> [String]
namesOf text = filter (isLower . head) (go True (filter (not . ("#" `isPrefixOf`)) (lines text)))
  where
    go on (l : ls) | "[" `isPrefixOf` l = go (l /= "[C]") ls
                   | otherwise = (if on then words l else []) ++ go on ls
    go _ [] = []

-- Also the internal ones whose functions public modules export.
publicSources :: IO [FilePath]
publicSources = do
  below <- concat <$>
    mapM (\d -> map ((d ++ "/") ++) <$> listDirectory d) ["src/Mimalloc", "src/Mimalloc/Primitive"]
  let internal = map ("src/Mimalloc/Internal/" ++) ["Builder.hs", "Growable.hs", "Lazy.hs"]
      files = "src/Mimalloc.hs" : internal ++ filter (".hs" `isSuffixOf`) below
  there <- mapM doesFileExist files
  [f | (f, False) <- zip files there] @?= []
  pure files

-- A public function's signature stands below the line that says since when it is there.
takers :: String -> [String]
takers text = mapMaybe taker (tails (lines text))
  where
    taker (since : l : ls)
      | "-- @since" `isPrefixOf` since, (name, rest) <- span isName l, Just type_ <- stripPrefix " ::" rest
      , any (`elem` kinds) (parts (unwords (type_ : takeWhile (" " `isPrefixOf`) ls))) = Just name
    taker _ = Nothing
    parts t = words [if isName c then c else ' ' | c <- arguments t]
    kinds = words "Int Ptr CSize CInt CLong CString CStringLen MiArenaId MiSubprocId Handle StringHandle"

-- A type without its result.
arguments :: String -> String
arguments t = case [i | (i, s) <- zip [0 ..] (tails t), "->" `isPrefixOf` s] of
  [] -> ""
  is -> take (last is) t

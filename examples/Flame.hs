{-# LANGUAGE OverloadedStrings #-}
-- Flame graphs of profiles in files, as MIMALLOC_PROFILE and Mimalloc.Profile write them: folded stacks, or
-- all four numbers if the name ends in ".stacks".
--
-- > flame [--folded] AFTER                    what there is
-- > flame [--folded] BEFORE AFTER             what grew from the first to the second
--
-- SVG on stdout; --folded: folded stacks instead. Without arguments it shows itself.
module Main (main) where

import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Builder as Builder
import qualified Data.ByteString.Char8 as Char8
import Data.List (isSuffixOf, partition)
import System.Environment (getArgs)
import System.Exit (die)
import System.IO (stdout)

import Mimalloc.Profile

main :: IO ()
main = do
  (options, files) <- partition (== "--folded") <$> getArgs
  let put title profile = Builder.hPutBuilder stdout $
        if null options then flameGraph title InUseBytes profile else foldedStacks InUseBytes profile
  case files of
    [] -> parseFolded InUseBytes "main;requests;parse 300\nmain;cache 700\n" >>= put "example"
    [one] -> profileOf one >>= put (Char8.pack one)
    [old, new] -> do
      grown <- profileDifference <$> profileOf old <*> profileOf new
      put (Char8.pack (new ++ ", what grew since " ++ old)) grown
    _ -> die "flame [--folded] [BEFORE] AFTER"

profileOf :: FilePath -> IO Profile
profileOf path = ByteString.readFile path
  >>= if ".stacks" `isSuffixOf` path then parseStacks else parseFolded InUseBytes

-- The types of docs/api-types.txt against ours. A module that has a line for each is compiled again and
-- again, without the lines that are wrong, until none is; these have to be the names that the table of
-- docs/guide.md gives another type.
module Names.Document (typesOfTheDocument) where

import Control.Monad (forM)
import Data.Char (isAlphaNum, isDigit, isSpace)
import Data.List (isInfixOf, isPrefixOf, isSuffixOf, nub, sort, stripPrefix, tails, (\\))
import Data.Maybe (fromMaybe, listToMaybe)
import System.FilePath ((<.>), (</>))
import Test.Tasty
import Test.Tasty.HUnit

import InPlace

typesOfTheDocument :: TestTree
typesOfTheDocument = testGroup "types of the document"
  [ testCase "the list itself" $ do
      entries <- signatures
      assertBool "too short" (length entries >= 240)
  , testCase "each is ours or in the table of docs/guide.md" $ do
      entries <- signatures
      table <- rows
      different <- differences entries
      sort (different \\ map fst table) @?= []
  , testCase "the table names no type that is ours" $ do
      entries <- signatures
      table <- rows
      different <- differences entries
      sort ([ n | (n, theirs) <- table, "::" `isInfixOf` theirs ] \\ different) @?= []
  ]

-- | Module, name, and the Haskell text that compiles if the name is there with that type.
signatures :: IO [(String, String, Int -> String)]
signatures = sections "" . joined . filter (not . ("#" `isPrefixOf`)) . lines
  <$> readFile "docs/api-types.txt"
  where
    joined (a : b : ls) | " " `isPrefixOf` b = joined ((a ++ " " ++ dropWhile isSpace b) : ls)
    joined (a : ls) = a : joined ls
    joined [] = []
    sections _ (('[' : l) : ls) = sections (takeWhile (/= ']') l) ls
    sections m (l : ls) = entry m l ++ sections m ls
    sections _ [] = []

entry :: String -> String -> [(String, String, Int -> String)]
entry m l
  | Just rest <- stripPrefix "type " l, (name, _ : ty) <- break (== '=') rest =
      [(m, unwords (words name), \k -> x k ++ " :: (" ++ name ++ ") -> (" ++ ty ++ "); " ++ x k ++ " = id")]
  | Just what <- stripPrefix "instance " l =
      [(m, what, \k -> x k ++ " :: (" ++ what ++ " => r) -> r; " ++ x k ++ " y = y")]
  | (names, ty) <- typed l =
      [ (m, name, \k -> x k ++ " :: " ++ ty ++ "; " ++ x k ++ " = " ++ m ++ "." ++ name)
      | name <- words names ]
  where
    x k = "x" ++ show k
    typed s = fromMaybe ("", "")
      (listToMaybe [ (take i s, drop 3 t) | (i, t) <- zip [0 ..] (tails s), ":: " `isPrefixOf` t ])

-- | The names that do not compile.
differences :: [(String, String, Int -> String)] -> IO [String]
differences entries = do
  dir <- freshDirectory "names"
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  let file = dir </> "Types" <.> "hs"
      numbered = zip [1 ..] entries
      try_ :: [Int] -> Int -> IO [Int]
      try_ bad rounds = do
        writeFile file (unlines (prelude
          ++ [ if k `elem` bad then "" else text k | (k, (_, _, text)) <- numbered ]))
        (problem, said) <- output 600 compiler (flags ++ ["-fno-code", file]) ""
        let wrong = nub [ k | Just line <- map (errorLine file) (lines said)
                        , let k = line - length prelude, k >= 1 ]
        case problem of
          Nothing -> pure bad
          Just why | null wrong || rounds == 0 -> assertFailure why
                   | otherwise -> try_ (bad ++ wrong) (rounds - 1)
  bad <- try_ [] 6
  forM bad $ \k -> case lookup k numbered of
    Just (_, name, _) -> pure name
    Nothing -> assertFailure ("line " ++ show k)
  where
    prelude =
      [ "{-# LANGUAGE FlexibleContexts, ConstraintKinds, RankNTypes #-}", "module Types where"
      , "import Data.ByteString (ByteString)"
      , "import Data.Vector.Storable (Vector, MVector)", "import Data.Word (Word8)"
      , "import Foreign.C", "import Foreign.ForeignPtr (ForeignPtr)"
      , "import Foreign.Ptr", "import Foreign.Storable (Storable)"
      , "import GHC.Exts (RealWorld)", "import Mimalloc.Heap (Heap)", "import Mimalloc.Stats (ProcessInfo)"
      , "import Mimalloc.Primitive (MiArenaId, MiBlockVisitFun, MiHeap, MiHeapArea, MiOption, MiSubprocId)" ]
      ++ [ "import qualified " ++ m | m <- nub [ m | (m, _, _) <- entries ] ]

-- | "FILE:12:1-5: error", or "FILE:(12,1)-(13,5): error".
errorLine :: FilePath -> String -> Maybe Int
errorLine file l = case stripPrefix (file ++ ":") l of
  Just rest | "error" `isInfixOf` rest
    , digits@(_ : _) <- takeWhile isDigit (dropWhile (== '(') rest) -> Just (read digits)
  _ -> Nothing

-- | The table in docs/guide.md: names, and what is said of the document's package.
rows :: IO [(String, String)]
rows = do
  guide <- lines <$> readFile "docs/guide.md"
  let section = takeWhile (not . ("## " `isPrefixOf`)) (drop 1 (dropWhile (not . isTitle) guide))
      found = [ (name, theirs) | l <- section, "|" `isPrefixOf` l
              , first : theirs : _ <- [cells l], name <- quoted first ]
  if null found then assertFailure "no table of differences in docs/guide.md" else pure found
  where
    isTitle l = "## " `isPrefixOf` l && "document" `isInfixOf` l
    cells = map (unwords . words) . splitBars . drop 1
    splitBars s = case break (== '|') s of { (c, _ : rest) -> c : splitBars rest
                                            ; (c, "") -> [ c | not (all isSpace c) ] }
    quoted s = case break (== '`') s of
      (_, _ : rest) | (name, _ : more) <- break (== '`') rest ->
        [ name | all isName name || " " `isInfixOf` name, not ("…" `isSuffixOf` name) ] ++ quoted more
      _ -> []
    isName c = isAlphaNum c || c `elem` "_'"

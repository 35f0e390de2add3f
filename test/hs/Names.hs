-- That no name is missing: what the modules export and what the header declares, against docs/api-names.txt;
-- what the header declares, against what the library has; and the types of the names. What the package's C
-- imports, against the lists that have a reason for each name. Runs at the root of the package.
module Main (main) where

import Control.Monad
import Data.Char (isAlphaNum, isDigit, isSpace, toUpper)
import Data.List
  (dropWhileEnd, findIndex, isInfixOf, isPrefixOf, isSuffixOf, nub, partition, stripPrefix, tails, (\\))
import Data.Maybe (listToMaybe)
import System.Directory
import System.FilePath
import System.Process (readProcess)
import Test.Tasty
import Test.Tasty.HUnit

import InPlace (buildDirectory)
import Mimalloc.Primitive (MiOption)
import Names.Document (typesOfTheDocument)
import Names.Numbers (numbersAgree)
import Names.Types (typesAgree)

main :: IO ()
main = do
  wanted <- sections <$> readFile "docs/api-names.txt"
  header <- concat <$> mapM (readFile . ("cbits/include/" ++))
    ["mimalloc.h", "mimalloc-stats.h", "mimalloc-profile.h"]
  let declared = declarations header
  defaultMain $ testGroup "names"
    [ testCase "the list itself" $ do
        map fst wanted @?= ["Mimalloc", "Mimalloc.Capability", "Mimalloc.Heap", "Mimalloc.ByteString"
                           , "Mimalloc.Vector", "Mimalloc.Stats", "Mimalloc.Primitive", "C"]
        assertBool "too short" (length (concatMap snd wanted) >= 360)
    , testGroup "modules" [ testCase m (exports m >>= \have -> missing names have)
                          | (m, names) <- wanted, m /= "C" ]
    , testCase "Mimalloc re-exports Mimalloc.Primitive" $ do
        have <- exports "Mimalloc"
        mapM_ (`missing` have) (lookup "Mimalloc.Primitive" wanted)
    , testCase "every exported name is documented, and since when" $ do
        modules <- filter (not . ("Mimalloc.Internal." `isPrefixOf`)) <$> exposed
        assertBool "no modules" (length modules >= 9)
        problems <- concat <$> mapM undocumented modules
        assertBool (unlines problems) (null problems)
    , testCase "the header declares the list" $ mapM_ (`missing` declared) (lookup "C" wanted)
    , testCase "the library has what the header declares" $ defined >>= missing declared
    , testCase "the package's shared library shows what Haskell imports" $ do
        imported <- filter ("mi_" `isInfixOf`) . concatMap foreignName . lines
          <$> readFile "src/Mimalloc/Internal/FFI.hs"
        assertBool "no imports" (length imported > 100)
        libraries <- libraryFiles ".so"
        forM_ libraries $ \so -> symbols "TDBR" <$> readProcess "nm" ["-D", "--defined-only", so] ""
          >>= missing (filter (not . ("mi_test_" `isPrefixOf`)) imported)
    , testCase "the header declares what the shared library shows" $ do
        let so = "build/libmimalloc.so"
        built <- doesFileExist so
        when built $ do
          shown <- filter ("mi_" `isPrefixOf`) . symbols "TDBWV"
            <$> readProcess "nm" ["-D", "--defined-only", so] ""
          missing shown declared
    , testCase "each name that C imports is listed" $ do
        (ghcs, others) <- partition ("/cbits/ghc/" `isInfixOf`) <$> objects
        assertBool "no objects where cabal builds" (length ghcs >= 10 && length others >= 40)
        defined_ <- symbols "TDBRVW" <$> readProcess "nm" ("--defined-only" : ghcs ++ others) ""
        inGhc <- imports defined_ ghcs
        inOthers <- imports defined_ others
        listed <- readReasons "test/hs/Names/imports"
        listedC <- readReasons "test/c/imports/list"
        assertEqual "without a reason" [] [ name | (name, False) <- listed ]
        inGhc `missing` map (dropWhile (== '?') . fst) listed
        inOthers `missing` map (dropWhile (== '?') . fst) listedC
        assertEqual "listed, but not imported" []
          ([ name | (name, _) <- listed, take 1 name /= "?" ] \\ inGhc)
    , testCase "nothing in C is thread-local" $ do         -- GHC's own linker cannot load that
        there <- objects
        assertBool "no objects where cabal builds" (length there >= 50)
        table <- readProcess "readelf" ("-sW" : there) ""
        [ last (words l) | l <- lines table, "TLS" `elem` words l ] @?= []
    , testCase "MiOption is mi_option_t, in order" $
        map show [minBound .. maxBound :: MiOption] @?= map camel (optionNames header)
    , numbersAgree
    , testCase "types" $ typesAgree @?= ()
    , typesOfTheDocument
    ]

missing :: [String] -> [String] -> Assertion
missing wanted have = case nub wanted \\ have of
  [] -> pure ()
  names -> assertFailure ("missing: " ++ unwords names)

-- | "[name]", and the words below it.
sections :: String -> [(String, [String])]
sections text = go (filter (not . ("#" `isPrefixOf`)) (lines text))
  where
    go (('[' : l) : ls) = let (body, rest) = break ("[" `isPrefixOf`) ls
      in (takeWhile (/= ']') l, words (unwords body)) : go rest
    go (_ : ls) = go ls
    go [] = []

-- ---- Haskell

source :: String -> FilePath
source m = "src" </> map (\c -> if c == '.' then '/' else c) m <.> "hs"

exposed :: IO [String]
exposed = do
  cabal <- lines <$> readFile "mimalloc.cabal"
  pure (nub [ name | l <- cabal, let name = dropWhile isSpace l
            , "Mimalloc" == takeWhile (/= '.') name, all (\c -> isAlphaNum c || c == '.') name ])

-- | What a module exports: types without their constructors, and with a record's fields; what it re-exports
-- as a whole, too.
exports :: String -> IO [String]
exports m = do
  text <- readFile (source m)
  fmap concat . forM (exportItems text) $ \item -> case words item of
    ["module", other] -> exports other
    _ | "(" `isInfixOf` item -> let name = takeWhile isName item in (name :) <$> fields name
      | otherwise -> pure [item]
  where
    -- The record is in this module, or in one below.
    fields name = do
      texts <- mapM (readFile . source) =<< exposed
      pure [ takeWhile isName f | t <- texts, ls@(l : _) <- tails (lines t)
           , ("data " ++ name ++ " ") `isPrefixOf` l
           , g <- takeWhile (not . all isSpace) (drop 1 ls), Just f <- [afterBrace (dropWhile isSpace g)] ]
    afterBrace g = listToMaybe [ f | k <- ["{ ", ", "], Just f <- [stripPrefix k g], "::" `isInfixOf` f ]

-- | The items of the export list.
exportItems :: String -> [String]
exportItems text =
  map trim (split 0 "" (takeList (dropWhile (/= '(') (afterModule (unlines (map uncomment (lines text)))))))
  where
    afterModule t = concat (take 1 [ s | s <- tails t, "\nmodule " `isPrefixOf` s ])
    uncomment l = maybe l (`take` l) (findIndex ("--" `isPrefixOf`) (tails l))
    takeList = go (0 :: Int)
      where go n (c : cs) | c == '(' = (if n == 0 then id else (c :)) (go (n + 1) cs)
                          | c == ')' = if n == 1 then "" else c : go (n - 1) cs
                          | otherwise = c : go n cs
            go _ "" = ""
    split :: Int -> String -> String -> [String]
    split _ item "" = [ reverse item | not (all isSpace item) ]
    split n item (c : cs)
      | c == ',' && n == 0 = [ reverse item | not (all isSpace item) ] ++ split n "" cs
      | otherwise = split (case c of { '(' -> n + 1; ')' -> n - 1; _ -> n }) (c : item) cs
    trim = dropWhileEnd isSpace . dropWhile isSpace

isName :: Char -> Bool
isName c = isAlphaNum c || c `elem` "_'"

-- | Names whose declaration, in whichever module, has no comment that says since when.
undocumented :: String -> IO [String]
undocumented m = do
  items <- filter (not . ("module " `isPrefixOf`)) . exportItems <$> readFile (source m)
  texts <- mapM (fmap lines . readFile . source) =<< exposed
  pure [ m ++ ": " ++ name | item <- items, let name = takeWhile isName item
       , name `notElem` foreignNames, not (any (documents name) texts) ]
  where
    documents name ls = or [ since (reverse (take i ls)) | (i, l) <- zip [0 ..] ls, declares name l ]
    declares name l = or [ (k ++ name) `isPrefixOf` l
                             && not (any isName (take 1 (drop (length k + length name) l)))
                         | k <- ["", "data ", "newtype ", "type "] ]
    since above = case takeWhile ("--" `isPrefixOf`) above of
      l : ls -> "@since" `isInfixOf` l && any ("-- |" `isPrefixOf`) (l : ls)
      [] -> False
    -- Other packages' own.
    foreignNames = ["ForeignPtr", "withForeignPtr", "Ptr", "getNumCapabilities", "setNumCapabilities"
                   , "unsafeFromForeignPtr", "unsafeFromForeignPtr0"
                   , "Vector", "IOVector", "STVector", "Storable"]

-- ---- C

-- | The functions a header declares.
declarations :: String -> [String]
declarations text =
  nub [ name | l <- lines text, "mi_decl_export" `isPrefixOf` l, name <- take 1 (functions l) ]
  where functions s = [ n | t <- tails s, "mi_" `isPrefixOf` t
                      , let (n, rest) = span isName t, "(" `isPrefixOf` rest, n `notElem` attributes ]
        attributes = ["mi_attr_alloc_size", "mi_attr_alloc_size2"]

-- | The functions in the library as cabal built it.
defined :: IO [String]
defined = do
  archives <- filter (not . ("_p.a" `isSuffixOf`)) <$> libraryFiles ".a"
  case archives of
    [] -> assertFailure "no library where cabal builds"
    a : _ -> symbols "TW" <$> readProcess "nm" ["--defined-only", a] ""

-- | The objects of the package's C and C--, of the way that is not profiled and not dynamic.
objects :: IO [FilePath]
objects = filter (\f -> "/build/cbits/" `isInfixOf` f && takeExtension f == ".o")
  <$> (buildDirectory >>= filesBelow)

-- | What these objects import, but for what is defined.
imports :: [String] -> [FilePath] -> IO [String]
imports defined_ files = do
  out <- readProcess "nm" ("--undefined-only" : files) ""
  pure (nub [ name | [kind, name] <- map words (lines out), kind `elem` ["U", "w"] ] \\ nub defined_)

-- | The names of a list, and whether each has a reason.
readReasons :: FilePath -> IO [(String, Bool)]
readReasons file = do
  text <- readFile file
  pure [ (name, not (null reason)) | name : reason <- map words (lines text), take 1 name /= "#" ]

-- Of this package, not of mimalloc-live: a version follows the name.
libraryFiles :: String -> IO [FilePath]
libraryFiles extension = do
  files <- buildDirectory >>= filesBelow
  pure (filter (\f -> ours (takeFileName f) && takeExtension f == extension) files)
  where ours f = any (all isDigit . take 1) (stripPrefix "libHSmimalloc-" f)

-- | What a foreign import calls or points to: the word before its type, or the last one of the text.
foreignName :: String -> [String]
foreignName l = case words (takeWhile (/= ':') l) of
  "foreign" : "import" : what -> [ reverse (takeWhile isName (dropWhile (not . isName) (reverse name)))
                                 | let name = maybe (last what) id (quoted l) ]
  _ -> []
  where quoted text = case break (== '"') text of { (_, _ : rest) -> Just (takeWhile (/= '"') rest)
                                                   ; _ -> Nothing }

symbols :: String -> String -> [String]
symbols kinds out = [ name | [_, [kind], name] <- map words (lines out), kind `elem` kinds ]

filesBelow :: FilePath -> IO [FilePath]
filesBelow d = do
  names <- map (d </>) <$> listDirectory d
  fmap concat . forM names $ \n -> do
    link <- pathIsSymbolicLink n
    directory <- doesDirectoryExist n
    if directory && not link then filesBelow n else pure [n]

-- | The enumerators of mi_option_t that have a number of their own.
optionNames :: String -> [String]
optionNames text =
  [ name
  | l <- takeWhile (not . ("} mi_option_t" `isPrefixOf`))
           (dropWhile (not . ("typedef enum mi_option_e" `isPrefixOf`)) (lines text))
  , Just rest <- [stripPrefix "mi_option_" (dropWhile isSpace l)]
  , let (name, end) = span isName rest, not (" =" `isPrefixOf` end) ]

camel :: String -> String
camel name = "MiOption" ++ concatMap capital (wordsBy name)
  where capital w = map toUpper (take 1 w) ++ drop 1 w
        wordsBy s = case break (== '_') s of { (w, _ : rest) -> w : wordsBy rest; (w, "") -> [w] }

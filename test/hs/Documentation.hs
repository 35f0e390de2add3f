-- The examples in the documentation of each module, the programs in the README and in the guide, and those
-- examples that are no part of a package are run as they stand there.
module Main (main) where

import Control.Monad (filterM, forM)
import Data.Char (isAlphaNum)
import Data.List (isInfixOf, isPrefixOf, isSuffixOf)
import System.Directory
import System.FilePath

import InPlace
import RunScript (runTests)

main :: IO ()
main = do
  compiler <- ghc
  flags <- buildDirectory >>= packageFlags
  programs <- forM ["README.md", "docs/guide.md"] $ \page -> (,) page . haskellBlocks <$> readFile page
  dir <- freshDirectory "documentation"
  report $
    [ (page ++ " has a program", pure (if null texts then Just "no block marked haskell" else Nothing))
    | (page, texts) <- programs ]
    ++ [ (page ++ ", program " ++ show n, program compiler flags (dir </> (takeBaseName page ++ show n)) text)
       | (page, texts) <- programs, (n, text) <- zip [1 :: Int ..] texts ]
    ++ [ (source, readFile source >>= program compiler flags (dir </> name))
       | name <- ["Flame", "Recv"], let source = "examples/" ++ name ++ ".hs" ]
    ++ [("examples in the modules", examples flags dir)
       , ("examples as they are pasted into GHCi", pasted flags dir)
       , ("each module's first example is one that runs", firstExamples)
       , ("internal modules say that they may change", mayChange)
       , ("names in the modules' texts lead somewhere", names compiler flags dir)
       , ("cabal has nothing to say of the package", checked)]
    ++ runTests compiler flags dir

-- What stands in Markdown blocks marked haskell and is a program.
haskellBlocks :: String -> [String]
haskellBlocks = filter (any ("main ::" `isPrefixOf`) . lines) . go . lines
  where
    go ls = case break (== "```haskell") ls of
      (_, _ : rest) | (block, after) <- break (== "```") rest -> unlines block : go (drop 1 after)
      _ -> []

program :: FilePath -> [String] -> FilePath -> String -> IO Problem
program compiler flags exe text = do
  writeFile (exe <.> "hs") text
  built <- run 1800 compiler (flags
    ++ ["-threaded", "-Wall", "-Werror", "-outputdir", exe <.> "o", "-o", exe, exe <.> "hs"]) ""
  maybe (run 600 exe ["+RTS", "-N2"] "") (pure . Just) built

-- doctest interprets the modules' sources, with the C code of the library that was built; it prints the
-- number of examples.
examples :: [String] -> FilePath -> IO Problem
examples flags dir = documented >>= doctest flags . (["-isrc", "-outputdir=" ++ dir] ++)

doctest :: [String] -> [String] -> IO Problem
doctest flags arguments = do
  (problem, said) <- output 3600 "doctest" (joined flags ++ "-package=mimalloc" : arguments) ""
  let counts = filter ("Examples: " `isPrefixOf`) (lines said)
  mapM_ putStrLn counts
  pure (if null counts && problem == Nothing then Just ("no examples: " ++ said) else problem)
  where
    -- It takes each flag in one word only.
    joined (flag : value : rest) | flag `elem` ["-package-env", "-package-db"] =
      (flag ++ "=" ++ value) : joined rest
    joined (flag : rest) = flag : joined rest
    joined [] = []

-- As a reader has them, who knows of a module what its page shows: the example at the top needs nothing
-- before it, all others the module, or what stands under $setup, which is on the page. The comments alone, so
-- that nothing of the module's own imports is in scope.
pasted :: [String] -> FilePath -> IO Problem
pasted flags dir = do
  sources <- filter (not . isInfixOf "Internal") <$> documented
  createDirectoryIfMissing True place
  pages <- forM sources $ \source -> do
    text <- lines <$> readFile source
    more <- fmap (concatMap lines) (mapM readFile [ "src/Mimalloc/Internal" </> i | (m, i) <- shownThere
                                                  , "src" </> "Mimalloc" </> m == source ])
    let blocks = filter (any (">>>" `isInfixOf`)) (comments text)
        setups = filter isSetup blocks
        others = drop 1 blocks ++ filter (any (">>>" `isInfixOf`)) (comments more)
        hidden = not (null setups) && length (filter ("-- $setup" `isInfixOf`) text) < 2
    top <- page ("Top" ++ source) (take 1 blocks)
    rest <- page source ((if null setups then [theModule text] else setups) ++ filter (not . isSetup) others)
    pure ([source ++ " does not show its $setup" | hidden], [top, rest])
  let unseen = concatMap fst pages
  if null unseen then doctest flags (concatMap snd pages) else pure (Just (unlines unseen))
  where
    place = dir </> "pasted"
    theModule text = ["-- $setup", "-- >>> import " ++ head [ m | "module" : m : _ <- map words text ]]
    isSetup = any ("-- $setup" `isPrefixOf`)
    page source blocks = do
      let name = "Page" ++ filter isAlphaNum source
      writeFile (place </> name <.> "hs") (unlines (("module " ++ name ++ " where\n")
        : concat (zipWith chunk [1 :: Int ..] blocks)))
      pure (place </> name <.> "hs")
    chunk n block | isSetup block = block ++ [""]
                  | otherwise = ("-- $example" ++ show n) : map plain block ++ [""]
    plain line = if "-- |" `isPrefixOf` line then "--" ++ drop 4 line else line
    -- Examples of internal modules, on the pages that have the functions.
    shownThere = [ ("ByteString.hs", "Builder.hs"), ("ByteString.hs", "Lazy.hs")
                 , ("Metrics.hs", "Exposition.hs"), ("Vector.hs", "Growable.hs") ]

-- Lines that are comments and stand together.
comments :: [String] -> [[String]]
comments ls = case dropWhile (not . isComment) ls of
  [] -> []
  rest -> let (block, after) = span isComment rest in block : comments after
  where isComment = ("--" `isPrefixOf`)

documented :: IO [FilePath]
documented = filter (not . ("Checking.hs" `isSuffixOf`)) <$> haskellFiles "src"

-- Haddock says which do not: what is not in scope, and what is ours and on no page (but for the types that
-- instances of Generic define). It warns of nothing else either, but of other packages that have no pages. It
-- is not there with every compiler.
names :: FilePath -> [String] -> FilePath -> IO Problem
names compiler flags dir = do
  sources <- documented
  there <- run 60 haddock ["--version"] ""
  (problem, said) <- output 1800 haddock (["--html", "-o", dir </> "html"]
    ++ map ("--optghc=" ++) (flags ++ ["-isrc", "-outputdir=" ++ dir </> "html.o"]) ++ sources) ""
  let wrong = filter (\l -> any (`isInfixOf` l) ["out of scope", "is ambiguous", "- Mimalloc.", "arning: "]
        && not (any (`isInfixOf` l) ("Rep_" : others))) (lines said)
  pure (if there /= Nothing then Nothing else if null wrong then problem
    else Just (unlines ("dead names, or warnings" : wrong)))
  where others = ["Couldn't find .haddock for export", "could not find link destinations for"]
        haddock = if hasDirectory compiler then takeDirectory compiler </> "haddock" else "haddock"
        hasDirectory = ('/' `elem`)

-- But that it does not know where the source is kept, which nobody does yet.
checked :: IO Problem
checked = do
  (problem, said) <- output 300 "tools/cabal" ["check"] ""
  let warnings = length (filter ("Warning:" `isPrefixOf`) (lines said))
      fine = "No errors or warnings" `isInfixOf` said || (warnings <= 2 && "source control" `isInfixOf` said)
  pure (if fine && not ("Error" `isInfixOf` said) then Nothing else maybe (Just said) Just problem)

-- What users see of a module first is tried: no module without example, and none whose first is only shown
-- ("-- > ").
firstExamples :: IO Problem
firstExamples = do
  sources <- filter (not . isInfixOf "Internal") <$> haskellFiles "src"
  wrong <- filterM (fmap (not . runs . lines) . readFile) sources
  pure (if length sources < 12 then Just "too few modules"
    else if null wrong then Nothing else Just (unwords wrong))
  where runs ls = any ("-- >>>" `isPrefixOf`)
          (take 1 (filter (\l -> any (`isPrefixOf` l) ["-- >>>", "-- > "]) ls))

mayChange :: IO Problem
mayChange = do
  sources <- filter (isInfixOf "/Internal/") <$> haskellFiles "src"
  wrong <- filterM (fmap (not . isInfixOf "no part of the interface") . readFile) sources
  pure (if null wrong && length sources > 10 then Nothing else Just (unwords ("too few, or:" : wrong)))

haskellFiles :: FilePath -> IO [FilePath]
haskellFiles d = do
  entries <- listDirectory d
  fmap concat . mapM visit $ map (d </>) entries
  where
    visit path = do
      isDirectory <- doesDirectoryExist path
      if isDirectory then haskellFiles path else pure [path | ".hs" `isSuffixOf` path]

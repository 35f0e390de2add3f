-- What grew between two saved statistics (Mimalloc.Stats.statsJson, mi_stats_get_json), of one process or of
-- two of the same program:
--
-- > runghc examples/Grew.hs before.json after.json
--
-- First the whole, then heaps, sizes of blocks and owners, those that grew most first: bytes of pages, the
-- live bytes in them, and live blocks. What did not change is left out. It needs nothing but base.
module Main (main) where

import Data.Char (isDigit, isSpace)
import Data.List (partition, sortOn, union)
import Data.Maybe (fromMaybe)
import Data.Ord (Down (..))
import System.Environment (getArgs, getProgName)
import System.Exit (die)
import System.IO (IOMode (ReadMode), hGetContents, hSetEncoding, openFile, stdout, utf8)
import Text.Printf (printf)

main :: IO ()
main = do
  args <- getArgs
  hSetEncoding stdout utf8
  case args of
    [before, after] -> (compared <$> statistics before <*> statistics after) >>= putStr
    _ -> getProgName >>= \name -> die ("usage: " ++ name ++ " BEFORE.json AFTER.json")

statistics :: FilePath -> IO Json
statistics file = do
  h <- openFile file ReadMode
  hSetEncoding h utf8
  text <- hGetContents h
  case value text of
    Just (j@(Object _), rest) | all isSpace rest, Just _ <- field "gauges" j -> pure j
    _ -> die (file ++ ": not statistics")

compared :: Json -> Json -> String
compared before after = unlines (whole ++ concatMap table
  [ ("heaps", ofHeap), ("size_classes", ofClass), ("owners", ofOwner) ])
  where
    gauge name j = number (fromMaybe Null (field "gauges" j >>= field name))
    whole =
      [ printf "%-28s %12s  %10s -> %s" what (signed (b - a)) (human a) (human b)
      | (what, name) <- [ ("resident (the process)", "resident_bytes"), ("committed", "committed_bytes")
                        , ("live", "live_bytes"), ("structures", "structure_bytes") ]
      , let a = gauge name before
            b = gauge name after ]
    table (kind, nameOf) =
      let old = parts nameOf kind before
          new = parts nameOf kind after
          changes = [ (name, (p' - p, l' - l, n' - n)) | name <- map fst new `union` map fst old
                    , let (p, l, n) = fromMaybe (0, 0, 0) (lookup name old)
                          (p', l', n') = fromMaybe (0, 0, 0) (lookup name new), (p, l, n) /= (p', l', n') ]
          (grew, shrank) = partition ((> (0, 0, 0)) . snd) changes
      in if null changes then [] else
        printf "\n%-28s %12s %12s %12s" (map blank kind) "pages" "live" "blocks"
          : [ printf "%-28s %12s %12s %+12d" name (signed p) (signed l) n
            | (name, (p, l, n)) <- sortOn (Down . snd) grew ++ sortOn snd shrank ]
    blank c = if c == '_' then ' ' else c

-- Bytes of pages, live bytes, live blocks.
parts :: (Json -> String) -> String -> Json -> [(String, (Integer, Integer, Integer))]
parts nameOf kind j =
  [ (nameOf e, (of_ "page_bytes" e, of_ "live_bytes" e, of_ "live_blocks" e)) | e <- elements ]
  where
    elements = case field kind j of { Just (Array es) -> es; _ -> [] }
    of_ name e = number (fromMaybe Null (field name e))

ofHeap, ofClass, ofOwner :: Json -> String
ofHeap e = case (field "id" e, field "name" e) of
  (Just (Number 1), _) -> "the main heap"
  (Just n, Just (Text name)) -> "heap " ++ show (number n) ++ " " ++ show' name
  (n, _) -> "heap " ++ show (number (fromMaybe Null n))
  where show' name = "\"" ++ name ++ "\""
ofClass e = case number (fromMaybe Null (field "block_bytes" e)) of
  0 -> "blocks with own pages"
  n -> human n ++ " blocks"
ofOwner e = case (field "kind" e, field "number" e) of
  (Just (Text "nobody"), _) -> "nobody (adoptable)"
  (Just (Text kind), Just n) -> kind ++ " " ++ show (number n)
  _ -> "?"

-- ---- bytes for people

signed :: Integer -> String
signed n = (if n < 0 then "-" else "+") ++ human (abs n)

-- With at most three digits behind the point, so that no two sizes of blocks look alike.
human :: Integer -> String
human n = go (fromIntegral n) ["B", "KiB", "MiB", "GiB"]
  where
    go :: Double -> [String] -> String
    go x (_ : units@(_ : _)) | x >= 1024 = go (x / 1024) units
    go x (unit : _) = plain (printf "%.3f" x) ++ " " ++ unit
    go x [] = show x
    plain = reverse . dropWhile (== '.') . dropWhile (== '0') . reverse

-- ---- JSON, as much of it as there is there

data Json = Number Integer | Text String | Null | Array [Json] | Object [(String, Json)]

field :: String -> Json -> Maybe Json
field name j = case j of { Object ms -> lookup name ms; _ -> Nothing }

number :: Json -> Integer
number j = case j of { Number n -> n; _ -> 0 }

-- A value, and what follows it.
value :: String -> Maybe (Json, String)
value s = case dropWhile isSpace s of
  '{' : rest -> list '}' member rest >>= \(ms, end) -> Just (Object ms, end)
  '[' : rest -> list ']' value rest >>= \(es, end) -> Just (Array es, end)
  '"' : rest | (text, '"' : end) <- break (== '"') rest -> Just (Text text, end)
  rest | (digits@(_ : _), end) <- span isDigit rest -> Just (Number (read digits), end)
  _ -> Nothing
  where
    member t = do
      (Text name, rest) <- value t
      (':' : rest') <- Just (dropWhile isSpace rest)
      (v, end) <- value rest'
      Just ((name, v), end)

list :: Char -> (String -> Maybe (a, String)) -> String -> Maybe ([a], String)
list close item s = case dropWhile isSpace s of
  c : end | c == close -> Just ([], end)
  rest -> do
    (x, rest') <- item rest
    case dropWhile isSpace rest' of
      ',' : more -> do { (xs, end) <- list close item more; Just (x : xs, end) }
      c : end | c == close -> Just ([x], end)
      _ -> Nothing

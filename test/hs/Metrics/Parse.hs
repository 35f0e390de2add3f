-- Strict parsers of what metrics are written as: anything that the format does not allow is an error.
module Metrics.Parse
  ( Family (..)
  , Line (..)
  , prometheus
  , openMetrics
  , json
  ) where

import Control.Monad (unless, when)
import qualified Data.ByteString.Char8 as Char8
import Data.Char (chr, isAlpha, isAlphaNum, isAsciiLower, isAsciiUpper, isDigit, isHexDigit)
import Data.List (isPrefixOf, stripPrefix)
import Numeric (readHex)

-- | Bytes, as characters below 256.
data Family = Family
  { family, kind, unit, help :: String
  , familyLines :: [Line]
  } deriving (Eq, Show)

data Line = Line { lineName :: String, lineLabels :: [(String, String)], lineValue :: String }
  deriving (Eq, Ord, Show)

type Result = Either String

-- ---- Prometheus, 0.0.4: HELP, TYPE and samples of each family

prometheus :: Char8.ByteString -> Result [Family]
prometheus text = textLines text >>= go
  where
    go [] = pure []
    go (h : t : rest) = do
      (name, words_) <- comment "HELP" h
      said <- unescaped [('\\', '\\'), ('n', '\n')] words_
      (name', type_) <- comment "TYPE" t
      unless (name == name') $ Left ("TYPE of " ++ name' ++ " after HELP of " ++ name)
      unless (type_ `elem` ["gauge", "counter", "histogram"]) $ Left ("type " ++ type_)
      (ls, others) <- if type_ == "histogram" then distribution name rest else samples (== name) rest
      (Family name type_ "" said ls :) <$> go others
    go [l] = Left ("alone: " ++ l)

-- ---- OpenMetrics, 1.0.0: TYPE, UNIT where there is one, HELP, samples; EOF

openMetrics :: Char8.ByteString -> Result [Family]
openMetrics text = do
  ls <- textLines text
  when (null ls || last ls /= "# EOF") $ Left "it does not end with EOF"
  go (init ls)
  where
    go [] = pure []
    go (t : rest) = do
      (name, type_) <- comment "TYPE" t
      (u, rest') <- case rest of
        l : more | "# UNIT " `isPrefixOf` l -> do
          (name', u) <- comment "UNIT" l
          unless (name == name') $ Left ("UNIT of " ++ name' ++ " after TYPE of " ++ name)
          unless (('_' : u) `isEnd` name) $ Left (name ++ " does not end with " ++ u)
          pure (u, more)
        _ -> pure ("", rest)
      (h, rest'') <- case rest' of { l : more -> pure (l, more); [] -> Left "no HELP" }
      (name', words_) <- comment "HELP" h
      unless (name == name') $ Left ("HELP of " ++ name' ++ " after TYPE of " ++ name)
      said <- unescaped quotes words_
      (ls, others) <- case type_ of
        "gauge" -> samples (== name) rest''
        "counter" -> samples (== name ++ "_total") rest''
        "histogram" -> distribution name rest''
        _ -> Left ("type " ++ type_)
      (Family name type_ u said ls :) <$> go others
    isEnd e s = reverse e `isPrefixOf` reverse s

-- ---- what both have

textLines :: Char8.ByteString -> Result [String]
textLines text
  | Char8.null text = pure []
  | Char8.last text /= '\n' = Left "the last line has no end"
  | otherwise = pure (lines (Char8.unpack text))

-- The name, and what follows it.
comment :: String -> String -> Result (String, String)
comment word l = case stripPrefix ("# " ++ word ++ " ") l of
  Nothing -> Left ("no " ++ word ++ ": " ++ l)
  Just rest -> do
    (name, more) <- metricName rest
    (,) name <$> expect " " more

-- One at least, and what follows them.
samples :: (String -> Bool) -> [String] -> Result ([Line], [String])
samples wanted ls = do
  let (mine, others) = break ("#" `isPrefixOf`) ls
  when (null mine) $ Left "no samples"
  parsed <- mapM sample mine
  case filter (not . wanted . lineName) parsed of
    [] -> pure (parsed, others)
    l : _ -> Left ("another family's: " ++ show l)

-- Of a histogram without labels: buckets, whose limits and numbers rise, up to all; count, which is that;
-- and sum.
distribution :: String -> [String] -> Result ([Line], [String])
distribution name ls = do
  (mine, others) <- samples (`elem` map (name ++) ["_bucket", "_count", "_sum"]) ls
  let (buckets, end) = span ((== name ++ "_bucket") . lineName) mine
      limits = [ l | Line _ [("le", l)] _ <- buckets ]
      numbers = map (read . lineValue) buckets :: [Int]
      rises xs = and (zipWith (<=) xs (drop 1 xs))
  unless (length limits == length buckets && take 1 (reverse limits) == ["+Inf"]
      && rises (map read (init limits) :: [Double]) && rises numbers
      && map lineName end == map (name ++) ["_count", "_sum"]
      && map lineValue (take 1 end) == map lineValue (take 1 (reverse buckets))) $
    Left ("no histogram: " ++ show mine)
  pure (mine, others)

sample :: String -> Result Line
sample l = do
  (name, rest) <- metricName l
  (ls, rest') <- case rest of
    '{' : more -> labels more
    _ -> pure ([], rest)
  v <- expect " " rest'
  unless (isNumber v) $ Left ("no number: " ++ l)
  pure (Line name ls v)

-- Behind the bracket that opens; one at least.
labels :: String -> Result ([(String, String)], String)
labels s = do
  (name, rest) <- metricName s
  when (':' `elem` name) $ Left ("label " ++ name)
  (v, rest') <- expect "=\"" rest >>= string
  case rest' of
    ',' : more -> do
      (others, end) <- labels more
      pure ((name, v) : others, end)
    '}' : end -> pure ([(name, v)], end)
    _ -> Left ("labels: " ++ s)

-- Up to the quote that is not escaped, and behind it.
string :: String -> Result (String, String)
string = go ""
  where
    go raw s = case s of
      '\\' : c : rest -> go (c : '\\' : raw) rest
      '"' : rest -> (\v -> (v, rest)) <$> unescaped quotes (reverse raw)
      c : rest -> go (c : raw) rest
      "" -> Left "a string without end"

unescaped :: [(Char, Char)] -> String -> Result String
unescaped known s = case s of
  '\\' : c : rest -> case lookup c known of
    Just d -> (d :) <$> unescaped known rest
    Nothing -> Left ("escape " ++ [c])
  "\\" -> Left "a backslash at the end"
  c : rest -> (c :) <$> unescaped known rest
  "" -> pure ""

quotes :: [(Char, Char)]
quotes = [('\\', '\\'), ('n', '\n'), ('"', '"')]

metricName :: String -> Result (String, String)
metricName s = case span (\c -> isAscii c || c `elem` "_:") s of
  (name@(c : _), rest) | not (isDigit c) -> pure (name, rest)
  _ -> Left ("no name: " ++ s)
  where isAscii c = isAsciiLower c || isAsciiUpper c || isDigit c

expect :: String -> String -> Result String
expect wanted s = maybe (Left ("no " ++ show wanted ++ ": " ++ s)) Right (stripPrefix wanted s)

-- As both formats have them; without the sign in front of a number that is not negative.
isNumber :: String -> Bool
isNumber v = v `elem` ["NaN", "+Inf", "-Inf"] || isDecimal v

-- As JSON has them.
isDecimal :: String -> Bool
isDecimal v = case span isDigit (dropSign v) of
  (whole@(_ : _), rest) | whole == "0" || take 1 whole /= "0" -> fraction rest
  _ -> False
  where
    dropSign s = case s of { '-' : rest -> rest; _ -> s }
    fraction s = case s of
      '.' : rest | (_ : _, more) <- span isDigit rest -> power more
      _ -> power s
    power s = case s of
      "" -> True
      'e' : rest -> let ds = dropSign rest in not (null ds) && all isDigit ds
      _ -> False

-- ---- JSON: an object of version 1 and metrics, as families; JSON has no lines of its own

data Json = Number String | Text String | Null | Array [Json] | Object [(String, Json)] deriving Show

json :: Char8.ByteString -> Result [Family]
json text = do
  (j, end) <- value (Char8.unpack text)
  unless (end == "\n") $ Left ("after the end: " ++ show (take 40 end))
  case j of
    Object [("version", Number "1"), ("metrics", Array ms)] -> mapM metric ms
    _ -> Left "another shape"
  where
    metric m = case m of
      Object [("name", Text n), ("unit", Text u), ("help", Text h), ("kind", Text k)
             , ("samples", Array ss)] ->
        Family n k u h . concat <$> mapM (point n) ss
      _ -> Left ("no metric: " ++ show m)
    point n s = case s of
      Object [("labels", Object ls), ("value", v)] -> do
        ls' <- mapM label ls
        case v of
          Number x -> pure [Line n ls' x]
          Null -> pure [Line n ls' "null"]
          Object [("buckets", Array bs), ("count", Number x), ("sum", Number y)] -> do
            bs' <- mapM (bucket n ls') bs
            pure (bs' ++ [ Line (n ++ "_bucket") (ls' ++ [("le", "+Inf")]) x, Line (n ++ "_count") ls' x
                         , Line (n ++ "_sum") ls' y ])
          _ -> Left ("value " ++ show v)
      _ -> Left ("no sample: " ++ show s)
    bucket n ls b = case b of
      Object [("le", Number l), ("count", Number x)] -> pure (Line (n ++ "_bucket") (ls ++ [("le", l)]) x)
      _ -> Left ("no bucket: " ++ show b)
    label (l, Text v) = pure (l, v)
    label l = Left ("label " ++ show l)

value :: String -> Result (Json, String)
value s = case s of
  '{' : '}' : rest -> pure (Object [], rest)
  '{' : rest -> several '}' member rest >>= \(ms, end) -> pure (Object ms, end)
  '[' : ']' : rest -> pure (Array [], rest)
  '[' : rest -> several ']' value rest >>= \(vs, end) -> pure (Array vs, end)
  '"' : rest -> (\(t, end) -> (Text t, end)) <$> jsonString rest
  'n' : 'u' : 'l' : 'l' : rest -> pure (Null, rest)
  _ | (n, rest) <- span (\c -> isAlphaNum c || c `elem` "-+.") s, isDecimal n, not (any isLetter n) ->
        pure (Number n, rest)
    | otherwise -> Left ("no value: " ++ take 40 s)
  where
    isLetter c = isAlpha c && c /= 'e'
    member t = do
      (name, rest) <- expect "\"" t >>= jsonString
      (v, end) <- expect ":" rest >>= value
      pure ((name, v), end)

several :: Char -> (String -> Result (a, String)) -> String -> Result ([a], String)
several close item s = do
  (x, rest) <- item s
  case rest of
    ',' : more -> (\(xs, end) -> (x : xs, end)) <$> several close item more
    c : end | c == close -> pure ([x], end)
    _ -> Left ("no end of a list: " ++ take 40 rest)

jsonString :: String -> Result (String, String)
jsonString s = case s of
  '"' : rest -> pure ("", rest)
  '\\' : 'u' : rest
    | (code, more) <- splitAt 4 rest, all isHexDigit code, [(n, "")] <- readHex code, n < 128 ->
        first (chr n) <$> jsonString more
  '\\' : c : rest | Just d <- lookup c quotes -> first d <$> jsonString rest
  c : rest | c >= ' ' && c /= '\\' -> first c <$> jsonString rest
  _ -> Left ("no string: " ++ take 40 s)
  where first c (t, end) = (c : t, end)

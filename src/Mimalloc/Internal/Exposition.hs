{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
{-# LANGUAGE OverloadedStrings #-}
-- |
-- Metrics as text: Prometheus, OpenMetrics, JSON. "Mimalloc.Metrics" says what is in them.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Exposition
  ( Metric (..)
  , MetricKind (..)
  , Sample (..)
  , Value (..)
  , sampleName
  , Format (..)
  , contentType
  , renderMetrics
  ) where

import Control.DeepSeq (NFData)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder
import Data.ByteString.Builder.Extra (byteStringCopy)
import Data.ByteString.Builder.Prim
  (BoundedPrim, condB, liftFixedToBounded, primMapByteStringBounded, (>$<), (>*<))
import qualified Data.ByteString.Builder.Prim as Prim
import Data.Word (Word8)
import GHC.Generics (Generic)

-- $setup
-- >>> :set -XOverloadedStrings
-- >>> import Mimalloc.Metrics
-- >>> import qualified Data.ByteString.Lazy.Char8 as Lazy

-- | One figure, or the same of several things. Byte strings are UTF-8.
--
-- @since 0.1.0.0
data Metric = Metric
  { metricName    :: !ByteString   -- ^ letters, digits, underscores; at its end the unit, if it has one.
                                   --   Without the @_total@ that ends the names of counters' samples:
                                   --   'sampleName'
  , metricUnit    :: !ByteString   -- ^ in UCUM: @By@ (bytes), @s@ (seconds), @1@ (how many)
  , metricHelp    :: !ByteString   -- ^ what it is, for people
  , metricKind    :: !MetricKind
  , metricSamples :: [Sample]      -- ^ no two have the same labels
  } deriving (Eq, Show, Generic, NFData)

-- | Whether it says how much there is now, or how much there has been.
--
-- @since 0.1.0.0
data MetricKind
  = KindGauge      -- ^ goes up and down
  | KindCounter    -- ^ goes up only, from 0 at the start, or since it was reset
  | KindHistogram  -- ^ so does each number of it, and their sum
  deriving (Eq, Ord, Show, Read, Enum, Bounded, Generic, NFData)

-- | The figure of one thing.
--
-- @since 0.1.0.0
data Sample = Sample
  { sampleLabels :: [(ByteString, ByteString)] -- ^ names and values; none if there is one sample only
  , sampleValue  :: !Value
  } deriving (Eq, Show, Generic, NFData)

-- | In the metric's unit.
--
-- @since 0.1.0.0
data Value
  = Whole !Int      -- ^ bytes, and what is counted
  | Real !Double    -- ^ seconds; written with nine digits behind the point where these are enough
  | Distribution [(Double, Int)] !Int !Double
    -- ^ of a histogram: limits, ascending, and for each how many values were not above it; how many there
    --   were in all; their sum
  deriving (Eq, Ord, Show, Generic, NFData)

-- | What the samples of a metric are called: its name, and @_total@ for a counter. A histogram's are
-- written with @_bucket@, @_count@ and @_sum@ behind its name.
--
-- >>> map sampleName (filter ((== KindCounter) . metricKind) [Metric "b_bytes" "By" "" KindCounter []])
-- ["b_bytes_total"]
--
-- @since 0.1.0.0
sampleName :: Metric -> ByteString
sampleName m = case metricKind m of
  KindGauge -> metricName m
  KindCounter -> metricName m <> "_total"
  KindHistogram -> metricName m

-- | Ways to write metrics.
--
-- @since 0.1.0.0
data Format
  = Prometheus   -- ^ Prometheus' text format, version 0.0.4
  | OpenMetrics  -- ^ OpenMetrics' text format, version 1.0.0
  | Json         -- ^ an object of @version@ (1) and @metrics@, an array of objects: @name@, @unit@, @help@,
                 --   @kind@ (@gauge@, @counter@ or @histogram@) and @samples@, each of which has @labels@, an
                 --   object, and @value@, a number; of a histogram an object of @buckets@, an array of
                 --   objects of @le@ and @count@, and of @count@ and @sum@
  deriving (Eq, Ord, Show, Read, Enum, Bounded, Generic, NFData)

-- | For the header @Content-Type@ of an answer.
--
-- >>> contentType Prometheus
-- "text/plain; version=0.0.4; charset=utf-8"
--
-- @since 0.1.0.0
contentType :: Format -> ByteString
contentType format = case format of
  Prometheus -> "text/plain; version=0.0.4; charset=utf-8"
  OpenMetrics -> "application/openmetrics-text; version=1.0.0; charset=utf-8"
  Json -> "application/json"

-- | Metrics as text; also other metrics than ours, as long as names are such as the format allows. Byte
-- strings are written as they are, but for what the format wants to be escaped. Metrics without samples are
-- in JSON only.
--
-- >>> let metric = Metric "my_blocks" "1" "Mine." KindGauge [Sample [("kind", "a\"b")] (Whole 2)]
-- >>> Lazy.putStr (toLazyByteString (renderMetrics Prometheus [metric]))
-- # HELP my_blocks Mine.
-- # TYPE my_blocks gauge
-- my_blocks{kind="a\"b"} 2
--
-- @since 0.1.0.0
renderMetrics :: Format -> [Metric] -> Builder
renderMetrics format ms = case format of
  Prometheus -> foldMap prometheus there
  OpenMetrics -> foldMap openMetrics there <> text "# EOF\n"
  Json -> text "{\"version\":1,\"metrics\":[" <> separated (map json ms) <> text "]}\n"
  where there = filter (not . null . metricSamples) ms

-- A literal is a byte string that is made once; as a builder it would be a list of characters.
text :: ByteString -> Builder
text = byteStringCopy

-- ---- the two text formats

-- A counter is called as its samples are.
prometheus :: Metric -> Builder
prometheus m =
  text "# HELP " <> name <> char7 ' ' <> escaped helpText (metricHelp m)
    <> text "\n# TYPE " <> name <> char7 ' ' <> kind (metricKind m) <> char7 '\n'
    <> samples name m
  where name = text (sampleName m)

-- A counter is called as the metric is, its samples have @_total@ besides. The unit has to be the end of the
-- name.
openMetrics :: Metric -> Builder
openMetrics m =
  text "# TYPE " <> name <> char7 ' ' <> kind (metricKind m)
    <> unit
    <> text "\n# HELP " <> name <> char7 ' ' <> escaped quoted (metricHelp m) <> char7 '\n'
    <> samples (text (sampleName m)) m
  where
    name = text (metricName m)
    unit = case spelledOut (metricUnit m) of
      Just u | ("_" <> u) `ByteString.isSuffixOf` metricName m ->
        text "\n# UNIT " <> name <> char7 ' ' <> text u
      _ -> mempty

spelledOut :: ByteString -> Maybe ByteString
spelledOut unit = case unit of
  "By" -> Just "bytes"
  "s" -> Just "seconds"
  _ -> Nothing

kind :: MetricKind -> Builder
kind k = case k of
  KindGauge -> text "gauge"
  KindCounter -> text "counter"
  KindHistogram -> text "histogram"

samples :: Builder -> Metric -> Builder
samples name m = foldMap sample (metricSamples m)
  where
    sample (Sample labels v) = case v of
      Distribution limits n total ->
        mconcat [ bucket labels (limit l) k | (l, k) <- limits ] <> bucket labels (text "+Inf") n
          <> line "_count" (map label labels) (Whole n) <> line "_sum" (map label labels) (Real total)
      _ -> line "" (map label labels) v
    bucket labels l n = line "_bucket" (map label labels ++ [text "le=\"" <> l <> char7 '"']) (Whole n)
    line end labels v = name <> text end <> labelled labels <> value v <> char7 '\n'
    labelled [] = char7 ' '
    labelled labels = char7 '{' <> separated labels <> text "} "
    label (l, v) = text l <> text "=\"" <> escaped quoted v <> char7 '"'

value :: Value -> Builder
value v = case v of
  Whole n -> intDec n
  Real x | isNaN x -> text "NaN"
         | isInfinite x -> text (if x > 0 then "+Inf" else "-Inf")
         | otherwise -> decimal x
  Distribution _ n _ -> intDec n

-- As OpenMetrics wants limits: with a point, and no more digits behind it than there have to be.
limit :: Double -> Builder
limit x
  | isNaN x || isInfinite x = doubleDec x
  | otherwise = integerDec whole <> char7 '.' <> digits 100000000 (fromInteger part)
  where
    (whole, part) = (round (x * 1.0e9) :: Integer) `quotRem` 1000000000
    digits :: Int -> Int -> Builder
    digits p n = let (d, rest) = n `quotRem` p
                 in word8 (48 + fromIntegral d) <> (if rest == 0 then mempty else digits (p `quot` 10) rest)

-- Nine digits behind the point where these are enough.
decimal :: Double -> Builder
decimal x
  | x < 0 = char7 '-' <> decimal (negate x)
  | x >= 1.0e9 || (x > 0 && x < 1.0e-3) = doubleDec x
  | otherwise = intDec whole <> char7 '.' <> padded 100000000 part
  where
    (whole, part) = (round (x * 1.0e9) :: Int) `quotRem` 1000000000
    padded :: Int -> Int -> Builder
    padded 0 _ = mempty
    padded p n = let (d, rest) = n `quotRem` p in word8 (48 + fromIntegral d) <> padded (p `quot` 10) rest

-- ---- JSON

json :: Metric -> Builder
json m =
  text "{\"name\":" <> string (metricName m)
    <> text ",\"unit\":" <> string (metricUnit m)
    <> text ",\"help\":" <> string (metricHelp m)
    <> text ",\"kind\":\"" <> kind (metricKind m)
    <> text "\",\"samples\":[" <> separated (map sample (metricSamples m)) <> text "]}"
  where
    sample (Sample labels v) =
      text "{\"labels\":{" <> separated (map label labels) <> text "},\"value\":" <> number v <> char7 '}'
    label (l, v) = string l <> char7 ':' <> string v
    string s = char7 '"' <> escaped jsonString s <> char7 '"'
    number v = case v of
      Real x | isNaN x || isInfinite x -> text "null"   -- JSON has none
      Distribution limits n total ->
        text "{\"buckets\":[" <> separated (map bucket limits) <> text "],\"count\":" <> intDec n
          <> text ",\"sum\":" <> value (Real total) <> char7 '}'
      _ -> value v
    bucket (l, n) = text "{\"le\":" <> limit l <> text ",\"count\":" <> intDec n <> char7 '}'

separated :: [Builder] -> Builder
separated [] = mempty
separated (b : bs) = b <> foldMap (char7 ',' <>) bs

-- ---- escapes, byte by byte: UTF-8 goes through

escaped :: BoundedPrim Word8 -> ByteString -> Builder
escaped = primMapByteStringBounded

helpText, quoted, jsonString :: BoundedPrim Word8
helpText = newline (backslash plain)
quoted = newline (backslash (quote plain))
jsonString = newline (backslash (quote (condB (< 32) unicode plain)))

plain, unicode :: BoundedPrim Word8
plain = liftFixedToBounded Prim.word8
unicode = liftFixedToBounded $
  (\c -> (92, (117, (48, (48, c))))) >$< Prim.word8 >*< Prim.word8 >*< Prim.word8 >*< Prim.word8
    >*< Prim.word8HexFixed

newline, backslash, quote :: BoundedPrim Word8 -> BoundedPrim Word8
newline = condB (== 10) (two 110)
backslash = condB (== 92) (two 92)
quote = condB (== 34) (two 34)

-- A backslash and this.
two :: Word8 -> BoundedPrim Word8
two c = liftFixedToBounded (const (92, c) >$< Prim.word8 >*< Prim.word8)

{-# LANGUAGE OverloadedStrings #-}
-- |
-- A flame graph as SVG, of stacks with a number each.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Flame
  ( flames
  ) where

import Data.Bits (xor)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Unsafe as Unsafe
import Data.ByteString.Builder
import Data.Char (isControl, ord)
import Data.List (foldl', groupBy, sortOn)
import Data.Function (on)
import GHC.Foreign (peekCStringLen)
import GHC.IO.Encoding.Failure (CodingFailureMode (TransliterateCodingFailure))
import GHC.IO.Encoding.UTF8 (mkUTF8)
import Numeric (showFFloat)
import System.IO.Unsafe (unsafePerformIO)

-- A frame, all that was counted with it as the innermost frame or below others, and those in it.
data Frame = Frame !ByteString !Int [Frame]

-- Frames with the same name that stand on the same ones become one.
grow :: [([ByteString], Int)] -> [Frame]
grow stacks =
  [ Frame name (sum (map snd same)) (grow [ (rest, n) | (_ : rest, n) <- same ])
  | same@((name : _, _) : _) <- groupBy ((==) `on` (take 1 . fst)) (filter (not . null . fst) stacks) ]

-- A frame where it is drawn: left edge and width in parts of all, and how many it stands on.
data Box = Box !ByteString !Int !Int !Int

boxes :: Int -> Int -> [Frame] -> [Box]
boxes _ _ [] = []
boxes depth left (Frame name n inner : others) =
  Box name left n depth : boxes (depth + 1) left inner ++ boxes depth (left + n) others

-- | A title, what one unit is called (@bytes@), and stacks, the outermost frame first; what is not more than
-- 0 is left out. The outermost frames are at the bottom, and each is as wide as its share. The picture is a
-- page of its own, or stands in one; light or dark as the reader's system is.
flames :: ByteString -> ByteString -> [([ByteString], Int)] -> Builder
flames title unit stacks = mconcat
  [ "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", intDec width, " ", intDec height
  , "\" width=\"", intDec width, "\" height=\"", intDec height, "\" role=\"img\">\n<title>", escaped title
  , "</title>\n<style>\n", styles, "</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"
  , "<text class=\"head\" x=\"10\" y=\"20\">", escaped title, ": ", amount total, "</text>\n"
  , foldMap draw shown, "</svg>\n" ]
  where
    forest = grow (sortOn fst (filter ((> 0) . snd) stacks))
    total = sum [ n | Frame _ n _ <- forest ]
    everything = [Frame "all" total forest]
    shown = filter (\(Box _ _ n _) -> scaled n >= 0.3) (boxes 0 0 everything)
    deepest = foldl' (\d (Box _ _ _ depth) -> max d depth) 0 shown
    height = top + (deepest + 1) * row + 10
    scaled n = fromIntegral n * fromIntegral (width - 20) / fromIntegral (max 1 total) :: Double
    amount n = intDec n <> " " <> byteString unit
    draw (Box name left n depth) =
      let x = 10 + scaled left
          y = top + (deepest - depth) * row
          text = readable name
          room = truncate ((scaled n - 6) / 6.6) :: Int
          label | length text <= room = text
                | room < 4 = ""
                | otherwise = take (room - 2) text ++ ".."
      in mconcat
        [ "<g><title>", escapedText text, ": ", amount n, ", "
        , number (100 * fromIntegral n / fromIntegral (max 1 total)), " %</title><rect class=\"f"
        , intDec (colour name), "\" x=\"", number x, "\" y=\"", intDec y, "\" width=\""
        , number (max 0.3 (scaled n - 0.5)), "\" height=\"", intDec (row - 1), "\" rx=\"1\"/>"
        , if null label then mempty else mconcat
            [ "<text x=\"", number (x + 3), "\" y=\"", intDec (y + row - 5), "\">", escapedText label
            , "</text>" ]
        , "</g>\n" ]

width, row, top :: Int
width = 1200
row = 18
top = 34

number :: Double -> Builder
number x = string7 (showFFloat (Just 1) x "")

-- One of six, the same for the same name.
colour :: ByteString -> Int
colour name = ByteString.foldl' (\h b -> (h `xor` fromIntegral b) * 16777619 `mod` 4294967296) 2166136261 name
  `mod` 6

styles :: Builder
styles = mconcat
  [ "text { font: 11px ui-monospace, monospace; fill: #1b1b1b } .head { font-size: 14px }\n"
  , ".paper { fill: #fff }\n"
  , foldMap fill (zip [0 ..] ["#f4b183", "#f2cf7b", "#e9a99b", "#d9c79a", "#f0b8a0", "#e3d27f"])
  , "@media (prefers-color-scheme: dark) {\n.paper { fill: #16181c }\n.head { fill: #e6e6e6 }\n"
  , "g text { fill: #f3f3f3 }\n"
  , foldMap fill (zip [0 ..] ["#8a4b22", "#7a5c14", "#85403a", "#675a2c", "#7d4632", "#6b6118"])
  , "}\n" ]
  where
    fill :: (Int, Builder) -> Builder
    fill (i, c) = ".f" <> intDec i <> " { fill: " <> c <> " }\n"

-- As UTF-8; what is none has a sign that says so.
readable :: ByteString -> String
readable bytes = map plain . unsafePerformIO $
  Unsafe.unsafeUseAsCStringLen bytes (peekCStringLen (mkUTF8 TransliterateCodingFailure))
  where plain c = if isControl c || ord c == 0xfffe || ord c == 0xffff then '?' else c

escaped :: ByteString -> Builder
escaped = escapedText . readable

escapedText :: String -> Builder
escapedText = foldMap escape
  where
    escape '&' = "&amp;"
    escape '<' = "&lt;"
    escape '>' = "&gt;"
    escape '"' = "&quot;"
    escape c = charUtf8 c

-- | Numbers that C and Haskell both have are the same.
module Names.Numbers (numbersAgree) where

import Control.Monad (forM, forM_)
import Data.Char (isAlphaNum, isSpace)
import Data.List (sort, stripPrefix, tails)
import Data.Maybe (mapMaybe)
import Foreign.C.String (CString, peekCString)
import Foreign.C.Types (CLong (..), CSize (..))
import Foreign.Marshal.Alloc (alloca)
import Foreign.Ptr (Ptr, nullPtr, plusPtr)
import Foreign.Storable (alignment, peek, sizeOf)
import Test.Tasty
import Test.Tasty.HUnit

import Mimalloc.Internal.Numbers (numbers, processWords)
import Mimalloc.Primitive (MiHeapArea (..))

foreign import ccall unsafe test_numbers             :: IO CSize
foreign import ccall unsafe test_number_name         :: CSize -> IO CString
foreign import ccall unsafe test_number              :: CSize -> IO CLong
foreign import ccall unsafe test_heap_area_size      :: IO CSize
foreign import ccall unsafe test_heap_area_alignment :: IO CSize
foreign import ccall unsafe test_heap_area           :: Ptr MiHeapArea -> IO ()

numbersAgree :: TestTree
numbersAgree = testGroup "numbers that C has, too"
  [ testCase "constants, and words of structures" $ do
      n <- test_numbers
      c <- forM [0 .. n - 1] $ \i ->
        (,) <$> (test_number_name i >>= peekCString) <*> (fromIntegral <$> test_number i)
      sort numbers @?= sort c
  , testCase "results of mi_process_info, in order" $
      forM_ ["cbits/include/mimalloc.h", "cbits/thread_stats.c", "cbits/ghc/names.c"] $ \file -> do
        source <- readFile file
        let lists = parameterLists "mi_process_info" source
        assertBool file (not (null lists) && all (== processWords) lists)
  , testCase "MiHeapArea" $ do
      size <- fromIntegral <$> test_heap_area_size
      align <- fromIntegral <$> test_heap_area_alignment
      (sizeOf unused, alignment unused) @?= (size, align)
      area <- alloca $ \p -> test_heap_area p >> peek p
      area @?= MiHeapArea (nullPtr `plusPtr` 1) 2 3 4 5 6 (-7)
  ]
  where unused = MiHeapArea nullPtr 0 0 0 0 0 0

-- Where a text of C names a function first: what is in the parentheses that follow, a list of names for each
-- pair. They are the parameters; in cbits/ghc/names.c the arguments, too. Each name ends at a comma, or at
-- the parenthesis.
parameterLists :: String -> String -> [[String]]
parameterLists function text = case mapMaybe (stripPrefix function) (tails text) of
  declared : _ -> lists declared
  [] -> []
  where
    lists s = case dropWhile (`notElem` "(;{HS") s of
      '(' : rest -> let (list, end) = break (== ')') rest in names list : lists end
      _ -> []
    names list = case break (== ',') list of
      (parameter, _ : rest) -> name parameter : names rest
      (parameter, []) -> [name parameter]
    name = reverse . takeWhile (\c -> isAlphaNum c || c == '_') . dropWhile isSpace . reverse

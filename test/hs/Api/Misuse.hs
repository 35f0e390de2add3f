-- Misuse from Haskell: what C says about it on stderr, and that everything else goes on; or the end of the
-- process, if that is asked for. Each in a process of its own. What is refused by an exception is tested with
-- the function it concerns.
module Api.Misuse (tests, misuses) where

import Control.Monad
import qualified Data.ByteString.Internal as Internal
import Data.List (isPrefixOf, stripPrefix)
import Data.Word (Word64, Word8)
import Foreign.C.Error (Errno (..), eINVAL, getErrno)
import Foreign.ForeignPtr (finalizeForeignPtr)
import qualified Foreign.ForeignPtr as Base
import Foreign.ForeignPtr.Unsafe (unsafeForeignPtrToPtr)
import Foreign.Marshal.Alloc (allocaBytes)
import qualified Foreign.Marshal.Alloc as Base
import Foreign.Ptr
import Foreign.Storable
import System.Exit (ExitCode (..))
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import Api.Support
import Mimalloc
import qualified Mimalloc.ByteString as M
import Mimalloc.Capability
import Mimalloc.Heap (withHeap, withHeapMallocBytes)

tests :: TestTree
tests = testGroup "misuse"
  [ testGroup "is reported, and nothing else happens"
      [ testCase name (reported name message) | Misuse name message _ <- table ]
  , testGroup "ends the process when abort_on_error is set"
      [ testCase name (aborts name message) | Misuse name message _ <- table ]
  , testCase "is not reported when show_errors is not set" $ do
      (status, said, complained) <- misused [("MIMALLOC_SHOW_ERRORS", "0")] "double free"
      (status, complained) @?= (ExitSuccess, "")
      lines said `endsWith` "went on"
  ]

-- | For Api.Child.
misuses :: [(String, IO ())]
misuses = [ (name, act >>= print >> goesOn >> putStrLn "went on") | Misuse name _ act <- table ]

-- A name, what the line says, and the misuse; it returns the pointer that the line names.
data Misuse = Misuse String (String -> String) (IO (Ptr Word8))

table :: [Misuse]
table =
  [ Misuse "double free" (free_ 112) $ do
      p <- mi_malloc 100
      mi_free p >> mi_free p
      pure p
  , Misuse "double free of a large block, whose memory is gone" foreign_ $ do
      p <- mi_malloc 1000000
      mi_free p >> mi_free p
      pure p
  , Misuse "double free, by another capability" (free_ 112) $ do
      n <- getNumCapabilities
      p <- runOnCapability 0 (mi_malloc 100 >>= \p -> p <$ mi_free p)
      runOnCapability (n - 1) (mi_free p)
      pure p
  , Misuse "double free, in a bracket" (free_ 112) $ withMallocBytes 100 $ \p -> p <$ mi_free p
  , Misuse "double free, in a heap's bracket" (free_ 112) $
      withHeap $ \h -> withHeapMallocBytes h 100 $ \p -> p <$ mi_free p
  , Misuse "double free, by a finalizer" (free_ 112) $ do
      fp <- mallocForeignPtrBytes 100
      withForeignPtr fp mi_free
      finalizeForeignPtr fp
      pure (unsafeForeignPtrToPtr fp)
  , Misuse "double free, of what a byte string owns" (free_ 112) $ do
      p <- mi_malloc 100
      s <- M.unsafePackMallocByteString p 100
      mi_free p
      finalized s
      pure p
  , Misuse "realloc of a freed block" (free_ 112) $ do
      p <- mi_malloc 100
      mi_free p
      q <- mi_realloc p 200
      Errno e <- getErrno
      must (q == nullPtr && Errno e == eINVAL)
      pure p
  , Misuse "free of an address inside a block" (interior 112) $ do
      p <- mi_malloc 100
      mi_free (p `plusPtr` 16)
      mi_heap_get_backing >>= \h -> mi_heap_contains_block h p >>= must . (== 1)
      mi_free p
      pure (p `plusPtr` 16)
  , Misuse "free of an odd address" (interior 112) $ do
      p <- mi_malloc 100
      mi_free (p `plusPtr` 1)
      mi_free p
      pure (p `plusPtr` 1)
  , Misuse "expand of an address inside a block" (interior 112) $ do
      p <- mi_malloc 100
      mi_expand (p `plusPtr` 16) 10 >>= must . (== nullPtr)
      mi_free p
      pure (p `plusPtr` 16)
  , Misuse "free of alloca's block" foreign_ $ allocaBytes 100 $ \p -> p <$ mi_free p
  , Misuse "free of base's malloc's block" foreign_ $ do
      p <- Base.mallocBytes 100
      mi_free p
      Base.free p
      pure p
  , Misuse "free of a block of GHC's heap" foreign_ $ do
      fp <- Base.mallocForeignPtrBytes 100
      Base.withForeignPtr fp $ \p -> p <$ mi_free p
  , Misuse "free of a number" foreign_ $ let p = wordPtrToPtr 0x1234 in p <$ mi_free p
  , Misuse "realloc of base's malloc's block" foreign_ $ do
      p <- Base.mallocBytes 100
      mi_realloc p 200 >>= must . (== nullPtr)
      Base.free p
      pure p
  , Misuse "a byte string of base's malloc's block" foreign_ $ do
      p <- Base.mallocBytes 100
      s <- M.unsafePackMallocByteString p 100
      finalized s
      Base.free p
      pure p
  , Misuse "free of a block of a heap that was destroyed" (free_ 112) $ do
      h <- mi_heap_new
      p <- mi_heap_malloc h 100
      mi_heap_destroy h
      mi_free p
      pure p
  , Misuse "a write after the free" (("a free block was written to: " ++) . (++ " (112-byte blocks)")) $
        withCapabilityLocal $ do
      p <- mi_malloc 100
      mi_free p
      poke (castPtr p) (0x4141414141414141 :: Word64)
      qs <- replicateM 5000 (mi_malloc 100)
      must (p `notElem` qs)
      mapM_ mi_free qs
      pure p
  ]
  where
    free_, interior :: Int -> String -> String
    free_ size p = "double free: the block is free already: " ++ p ++ blocks size
    interior size p = "invalid pointer: not the start of a live block: " ++ p ++ blocks size
    foreign_ p = "invalid pointer: not a live block of this allocator: " ++ p
    blocks size = " (" ++ show size ++ "-byte blocks)"
    finalized s = let (fp, _, _) = Internal.toForeignPtr s in finalizeForeignPtr fp

must :: Bool -> IO ()
must ok = unless ok (ioError (userError "not so"))

-- Other blocks are whole, new ones can be had.
goesOn :: IO ()
goesOn = do
  ps <- forM [1 .. 2000] $ \i -> mi_malloc (i `mod` 300) >>= \p ->
    p <$ when (i `mod` 300 > 0) (poke p (fromIntegral i :: Word8))
  forM_ (zip [1 :: Int ..] ps) $ \(i, p) -> when (i `mod` 300 > 0) $ peek p >>= must . (== fromIntegral i)
  mapM_ mi_free ps
  collectAll

reported :: String -> (String -> String) -> Assertion
reported name message = do
  (status, said, complained) <- misused [] name
  case lines said of
    [p, "went on"] -> lines complained @?= ["mimalloc: " ++ message (hexadecimal p)]
    _ -> assertFailure (show (status, said, complained))
  status @?= ExitSuccess

aborts :: String -> (String -> String) -> Assertion
aborts name message = do
  (status, said, complained) <- misused [("MIMALLOC_ABORT_ON_ERROR", "1")] name
  said @?= ""
  let (before, _) = break (== '#') (message "#")
  assertBool complained (("mimalloc: " ++ before) `isPrefixOf` complained)
  status @?= ExitFailure (-6) -- SIGABRT

-- The checking build ends the process by default.
misused :: [(String, String)] -> String -> IO (ExitCode, String, String)
misused settings = child (settings
  ++ [ ("MIMALLOC_ABORT_ON_ERROR", "0") | "MIMALLOC_ABORT_ON_ERROR" `notElem` map fst settings ])

endsWith :: [String] -> String -> Assertion
endsWith ls l = drop (length ls - 1) ls @?= [l]

-- As C writes it.
hexadecimal :: String -> String
hexadecimal p = maybe p (("0x" ++) . dropWhile (== '0')) (stripPrefix "0x" p)

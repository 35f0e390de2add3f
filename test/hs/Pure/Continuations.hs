{-# LANGUAGE CPP #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE UnboxedTuples #-}
-- Delimited continuations (GHC 9.6 and later): no continuation reaches out of a bracket.
module Pure.Continuations (tests, skipped) where

import Test.Tasty (TestTree, testGroup)
#if MIN_VERSION_base(4,18,0)
import Control.Exception
import Control.Monad
import Data.List (isInfixOf)
import Data.Word (Word8)
import Foreign.ForeignPtr (touchForeignPtr)
import Foreign.Marshal.Alloc (allocaBytes)
import GHC.Exts
import GHC.IO (IO (..))
import Test.Tasty.HUnit

import Api.Support
import Mimalloc
import Mimalloc.Heap
#endif

-- Why there are none.
skipped :: Maybe String
tests :: TestTree

#if MIN_VERSION_base(4,18,0)
skipped = Nothing

-- GHC 9.6 has its exception as a constant that its collector does not know: a second look at it ends the
-- process, without this package, too. So there is one.
tests = testGroup "delimited continuations" $
  testCase "that reach out of a bracket have no matching prompt" (stays $ do
    r <- reachOut (With (withMallocBytes 100))
    either show (const "no error") r `has` "no matching prompt") :
  [ testCase ("that reach out of it are an error: " ++ name) $ stays $ replicateM_ 100 $
      reachOut with >>= either (const (pure ())) (\n -> assertFailure ("not an error: " ++ show n))
  | (name, with) <- brackets ] ++
  [ testCase ("go on inside it: " ++ name) $ stays $ do
      r <- with $ \p -> prompt $ \tag -> do
        poke p 40
        n <- control0 tag $ \k -> (+ 1) <$> k (pure 1)
        (n +) . fromIntegral <$> peek p
      r @?= (42 :: Int)
  | (name, With with) <- brackets ] ++
  [ testCase ("pass: " ++ name) $ stays $ do
      r <- prompt $ \tag -> with $ \p -> do
        poke p 41
        n <- control0 tag $ \k -> k (pure 1)
        (n +) . fromIntegral <$> peek p
      r @?= (42 :: Int)
  | (name, With with) <- [ ("a foreign pointer", With foreign')
                         , ("base's allocaBytes", With (allocaBytes 100)) ] ]
  where
    text `has` part = part `isInfixOf` text @? text
    foreign' f = mallocForeignPtrBytes 100 >>= \fp -> withForeignPtr fp f >>= \r -> r <$ touchForeignPtr fp

reachOut :: With -> IO (Either SomeException Int)
reachOut (With with) = try $ prompt $ \tag -> with $ \_ -> control0 tag $ \k -> k (pure 1)

newtype With = With (forall b. (Ptr Word8 -> IO b) -> IO b)

brackets :: [(String, With)]
brackets =
  [ ("withMallocBytes", With (withMallocBytes 100))
  , ("withZallocBytes", With (withZallocBytes 2000000))
  , ("withHeap", With (\f -> withHeap $ \h -> heapMallocForeignPtrBytes h 100 >>= (`withForeignPtr` f)))
  , ("withHeap, withHeapMallocBytes", With (\f -> withHeap $ \h -> withHeapMallocBytes h 100 f))
  , ("newHeap, withHeapMallocBytes", With (\f -> newHeap >>= \h -> withHeapMallocBytes h 100 f))
  ]

stays :: Assertion -> Assertion
stays act = do
  before <- liveBlocks
  act
  holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks

data Tag a = Tag (PromptTag# a)

prompt :: (Tag a -> IO a) -> IO a
prompt f = IO $ \s -> case newPromptTag# s of (# s1, tag #) -> prompt# tag (run (f (Tag tag))) s1

control0 :: Tag a -> ((IO b -> IO a) -> IO a) -> IO b
control0 (Tag tag) f = IO $ control0# tag $ \k -> run (f (\act -> IO (k (run act))))

run :: IO a -> State# RealWorld -> (# State# RealWorld, a #)
run (IO m) = m
#else
skipped = Just "delimited continuations: GHC 9.6 and later have them"

tests = testGroup "delimited continuations" []
#endif
